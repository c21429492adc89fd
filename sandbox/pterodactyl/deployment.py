"""Automatic deployment: which nodes can take a server, and which port it gets."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.pterodactyl.errors import refusal
from sandbox.pterodactyl.rows import Allocation, Node

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel

PORT = re.compile(r"\d+\Z")
PORT_RANGE = re.compile(r"(\d{4,5})-(\d{4,5})\Z")


def has_room(size: int, overallocate: int, used: int, wanted: int) -> bool:
    """Whether a node's size, with so many percent more, holds what is used and wanted; -1 percent is 0.99 sizes."""
    return used + wanted <= size * (1 + overallocate / 100)


def viable_nodes(panel: "Panel", *, memory: int, disk: int, location_ids: Sequence[int]) -> list[Node]:
    """The public nodes with room, maintained or not; no location means any.

    Raises a 400 when there is none.
    """
    found = []
    for node in panel.store.nodes:
        servers = panel.store.servers.where(node_id=node.id)
        is_candidate = node.is_public and (not location_ids or node.location_id in location_ids)
        has_memory = has_room(node.memory, node.memory_overallocate, sum(each.memory for each in servers), memory)
        has_disk = has_room(node.disk, node.disk_overallocate, sum(each.disk for each in servers), disk)
        if is_candidate and has_memory and has_disk:
            found.append(node)
    if not found:
        raise refusal("NoViableNodeException", "No nodes satisfying the requirements could be found.")
    return found


def pick_allocation(
    panel: "Panel", nodes: Sequence[Node], *, is_ip_dedicated: bool, port_range: Sequence[str]
) -> Allocation:
    """A random free allocation on these nodes; nothing is locked, so two callers may pick the same.

    Raises a 400 when there is none.
    """
    ranges = parsed_ranges(port_range)
    node_ids = {node.id for node in nodes}
    busy = {(each.node_id, each.ip) for each in panel.store.allocations if each.server_id is not None}
    free = [
        each
        for each in panel.store.allocations
        if each.node_id in node_ids
        and each.server_id is None
        and (not is_ip_dedicated or (each.node_id, each.ip) not in busy)
        and (not ranges or any(low <= each.port <= high for low, high in ranges))
    ]
    if not free:
        raise refusal("NoViableAllocationException", "No allocations satisfying the requirements could be found.")
    return panel.rng.choice(free)


def parsed_ranges(texts: Sequence[str]) -> list[tuple[int, int]]:
    """The port ranges that can be read; the others vanish silently."""
    ranges = []
    for text in texts:
        if PORT.match(text):
            ranges.append((int(text), int(text)))
        elif found := PORT_RANGE.match(text):
            ranges.append((int(found[1]), int(found[2])))
    return ranges
