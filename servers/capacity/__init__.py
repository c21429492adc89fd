"""The capacity of nodes: what is available, and what is reserved for a server."""

from servers.capacity.availability import Size, availability, placeable
from servers.capacity.reservations import (
    InsufficientCapacity,
    NoFreePort,
    UnknownPort,
    confirm,
    expire_due,
    extend,
    move,
    release,
    replace_port,
    reserve,
)

__all__ = [
    "InsufficientCapacity",
    "NoFreePort",
    "Size",
    "UnknownPort",
    "availability",
    "confirm",
    "expire_due",
    "extend",
    "move",
    "placeable",
    "release",
    "replace_port",
    "reserve",
]
