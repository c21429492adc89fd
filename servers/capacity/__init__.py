"""The capacity of nodes: what is available, and what is reserved for a server."""

from servers.capacity.availability import Size, availability, placeable
from servers.capacity.reservations import (
    InsufficientCapacity,
    NoFreePort,
    confirm,
    expire_due,
    extend,
    release,
    replace_port,
    reserve,
)

__all__ = [
    "InsufficientCapacity",
    "NoFreePort",
    "Size",
    "availability",
    "confirm",
    "expire_due",
    "extend",
    "placeable",
    "release",
    "replace_port",
    "reserve",
]
