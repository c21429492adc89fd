"""Automatic deployment: which nodes have capacity for a server, and which port it gets."""

import re
from collections.abc import Sequence

from sandbox.pterodactyl.errors import refusal
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Allocation, Node

PORT_RANGE = re.compile(r"(\d+)\Z|(\d{4,5})-(\d{4,5})\Z")


def has_capacity(size: int, overallocate: int, used: int, wanted: int) -> bool:
    """Whether a node's size, with so many percent more, holds what is used and wanted; -1 percent is 0.99 sizes."""
    return used + wanted <= size * (1 + overallocate / 100)


def viable_nodes(panel: Panel, *, memory: int, disk: int, location_ids: Sequence[int]) -> list[Node]:
    """The public nodes with capacity, even under maintenance; no location means any.

    Raises a 400 when there is none.
    """
    found = []
    for node in panel.store.nodes:
        servers = panel.store.servers.where(node_id=node.id)
        is_candidate = node.is_public and (not location_ids or node.location_id in location_ids)
        has_memory = has_capacity(node.memory, node.memory_overallocate, sum(each.memory for each in servers), memory)
        has_disk = has_capacity(node.disk, node.disk_overallocate, sum(each.disk for each in servers), disk)
        if is_candidate and has_memory and has_disk:
            found.append(node)
    if not found:
        raise refusal("NoViableNodeException", "No nodes satisfying the requirements could be found.")
    return found


def pick_allocation(
    panel: Panel, nodes: Sequence[Node], *, is_ip_dedicated: bool, port_range: Sequence[str]
) -> Allocation:
    """A random free allocation on these nodes; nothing is locked, so two requests may get the same.

    Raises a 400 when there is none.
    """
    # Entries that are neither a port nor a range are ignored, as the panel does.
    matches = [match for text in port_range if (match := PORT_RANGE.match(text))]
    ranges = [(int(match[1] or match[2]), int(match[1] or match[3])) for match in matches]
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
