"""Locations, nodes and ports: merged, and what of each node can be sold worked out anew."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from servers.drivers.base import Inventory, RemoteServerSummary
from servers.inventory import tables
from servers.inventory.mirror import merge
from servers.models import Allocation, Location, Node, Server

type Finding = dict[str, str]
type Counts = dict[str, dict[str, int]]

# What was sold stays sold: a node that became too small keeps what it holds, and is reported.
_SELLABLE = """
    WITH wanted AS (
        SELECT id,
            GREATEST(memory_mib * (100 + memory_overcommit_percent) / 100 - memory_headroom_mib - memory_foreign_mib, 0)
                AS memory,
            GREATEST(disk_mib * (100 + disk_overcommit_percent) / 100 - disk_headroom_mib - disk_foreign_mib, 0) AS disk
        FROM servers_node WHERE provider_id = %s)
    UPDATE servers_node AS node SET
        memory_sellable_mib = GREATEST(wanted.memory, node.memory_reserved_mib),
        disk_sellable_mib = GREATEST(wanted.disk, node.disk_reserved_mib)
    FROM wanted WHERE node.id = wanted.id AND (
        node.memory_sellable_mib IS DISTINCT FROM GREATEST(wanted.memory, node.memory_reserved_mib)
        OR node.disk_sellable_mib IS DISTINCT FROM GREATEST(wanted.disk, node.disk_reserved_mib))"""


def merge_places(provider_id: UUID, seen: Inventory) -> tuple[Counts, list[Finding]]:
    """Merge locations, nodes and ports, in the order that the locking rule asks for."""
    ours = {str(pk) for pk in Server.objects.filter(blueprint__provider_id=provider_id).values_list("pk", flat=True)}
    foreign = [server for server in seen.servers if server.key.lower() not in ours]
    rows: Any = [(provider_id, place.ref, place.code, place.name) for place in seen.places]
    counts = {"locations": merge(tables.LOCATIONS, rows, scope=provider_id)}
    counts["nodes"] = _merge_nodes(provider_id, seen, foreign)
    work_out_sellable(provider_id)
    counts["allocations"] = _merge_ports(provider_id, seen)
    return counts, [*_unlimited(foreign), *_shrunk(provider_id)]


def work_out_sellable(provider_id: UUID) -> None:
    """Bring what the provider's nodes can sell in line with their totals, headroom and overcommit."""
    with connection.cursor() as cursor:
        cursor.execute(_SELLABLE, [provider_id])


def ids_by_ref(rows: Any) -> dict[str, UUID]:
    """Our key of each row by the provider's."""
    return dict(rows.values_list("ref", "pk"))


def _merge_nodes(provider_id: UUID, seen: Inventory, foreign: list[RemoteServerSummary]) -> dict[str, int]:
    locations = ids_by_ref(Location.objects.filter(provider_id=provider_id))
    memory: dict[str, int] = defaultdict(int)
    disk: dict[str, int] = defaultdict(int)
    for server in foreign:
        memory[server.node_ref] += server.memory_mib
        disk[server.node_ref] += server.disk_mib
    rows = [
        (
            provider_id,
            node.ref,
            locations[node.place_ref],
            node.name,
            node.memory_mib,
            node.disk_mib,
            node.is_in_maintenance,
            memory[node.ref],
            disk[node.ref],
            node.memory_overcommit_percent,
            node.disk_overcommit_percent,
            node.is_open,
        )
        for node in seen.nodes
        if node.place_ref in locations
    ]
    return merge(tables.NODE, rows, scope=provider_id)


def _merge_ports(provider_id: UUID, seen: Inventory) -> dict[str, int]:
    """A port is taken elsewhere when the provider gave it to any server but the one we hold it for."""
    nodes = ids_by_ref(Node.objects.filter(provider_id=provider_id))
    holders = {ref: server.key.lower() for server in seen.servers for ref in server.allocation_refs}
    ours = _our_holders(provider_id)
    rows = [
        (
            nodes[port.node_ref],
            port.ref,
            port.ip,
            port.alias,
            port.port,
            port.is_assigned and (not holders.get(port.ref) or holders[port.ref] != ours.get(port.ref)),
        )
        for port in seen.ports
        if port.node_ref in nodes
    ]
    return merge(tables.ALLOCATION, rows, scope=list(nodes.values()))


def _our_holders(provider_id: UUID) -> Mapping[str, str]:
    held = Allocation.objects.filter(node__provider_id=provider_id, reservation__server__isnull=False)
    return {ref: str(server) for ref, server in held.values_list("ref", "reservation__server__pk")}


def _unlimited(foreign: list[RemoteServerSummary]) -> list[Finding]:
    note = _("A server that is not ours has no limit on memory or disk; it counts as nothing.")
    unlimited = [server for server in foreign if not server.memory_mib or not server.disk_mib]
    return [{"kind": "unlimited_server", "subject": server.name, "note": note} for server in unlimited]


def _shrunk(provider_id: UUID) -> list[Finding]:
    note = _("Less can be sold here than is held already; nothing more is placed until that has changed.")
    return [
        {"kind": "node_shrunk", "subject": node.name, "note": note}
        for node in Node.objects.filter(provider_id=provider_id, is_present=True)
        if _is_shrunk(node)
    ]


def _is_shrunk(node: Node) -> bool:
    memory = node.memory_mib * (100 + node.memory_overcommit_percent) // 100
    disk = node.disk_mib * (100 + node.disk_overcommit_percent) // 100
    return node.memory_reserved_mib > max(
        memory - node.memory_headroom_mib - node.memory_foreign_mib, 0
    ) or node.disk_reserved_mib > max(disk - node.disk_headroom_mib - node.disk_foreign_mib, 0)
