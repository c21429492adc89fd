"""The capacity of nodes: what is available, and what is reserved for a server."""

from servers.capacity.availability import Refusal, Size, availability, placeable
from servers.capacity.candidates import describe
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
    reserve_existing,
)
from servers.capacity.resizing import Growth, extend_reservation, merge_extension, shrink

__all__ = [
    "Growth",
    "InsufficientCapacity",
    "NoFreePort",
    "Refusal",
    "Size",
    "UnknownPort",
    "availability",
    "confirm",
    "describe",
    "expire_due",
    "extend",
    "extend_reservation",
    "merge_extension",
    "move",
    "placeable",
    "release",
    "replace_port",
    "reserve",
    "reserve_existing",
    "shrink",
]
