"""Locations, nodes and allocations: merged, and what can be sold of each node computed again."""

from collections import Counter
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from servers.drivers.inventory import RemoteServerSummary
from servers.inventory import tables
from servers.inventory.merge import Counts, Finding, ids_by_ref, merge
from servers.inventory.read import RemoteInventory
from servers.models import Allocation, Location, Node, Server

# A node that became too small for its reservations keeps them, sells nothing until they fit, and is answered.
_SELLABLE = """
    WITH computed AS (
        SELECT id,
            GREATEST(memory_mib * (100 + memory_overcommit_percent) / 100 - memory_headroom_mib - memory_foreign_mib, 0)
                AS memory,
            GREATEST(disk_mib * (100 + disk_overcommit_percent) / 100 - disk_headroom_mib - disk_foreign_mib, 0) AS disk
        FROM servers_node WHERE provider_id = %s AND NOT is_elastic),
    updated AS (
        UPDATE servers_node AS node SET
            memory_sellable_mib = computed.memory,
            memory_oversold_mib = GREATEST(node.memory_reserved_mib - computed.memory, 0),
            disk_sellable_mib = computed.disk,
            disk_oversold_mib = GREATEST(node.disk_reserved_mib - computed.disk, 0)
        FROM computed WHERE node.id = computed.id AND (
            node.memory_sellable_mib <> computed.memory OR node.disk_sellable_mib <> computed.disk
            OR node.memory_oversold_mib <> GREATEST(node.memory_reserved_mib - computed.memory, 0)
            OR node.disk_oversold_mib <> GREATEST(node.disk_reserved_mib - computed.disk, 0)))
    SELECT node.name FROM servers_node AS node JOIN computed ON computed.id = node.id
    WHERE node.is_present
        AND (node.memory_reserved_mib > computed.memory OR node.disk_reserved_mib > computed.disk)
    ORDER BY node.name"""


def merge_nodes(provider_id: UUID, remote: RemoteInventory) -> tuple[Counts, list[Finding]]:
    """Merge locations and nodes, with what servers that are not ours take of a node, and what is odd about them.

    The locking rule asks for nodes before their allocations: call this before `merge_allocations`.
    """
    foreign = foreign_servers(provider_id, remote)
    memory, disk = Counter[str](), Counter[str]()
    for server in foreign:
        memory[server.node_ref] += server.memory_mib
        disk[server.node_ref] += server.disk_mib
    rows: Any = [(provider_id, each.ref, each.code, each.name) for each in remote.locations]
    counts = {"locations": merge(tables.LOCATIONS, rows, scope=provider_id)}
    locations = ids_by_ref(Location.objects.filter(provider_id=provider_id))
    rows = [
        (
            provider_id,
            node.ref,
            locations[node.location_ref],
            node.name,
            node.memory_mib,
            node.disk_mib,
            node.is_in_maintenance,
            memory[node.ref],
            disk[node.ref],
            node.memory_overcommit_percent,
            node.disk_overcommit_percent,
            node.is_public,
            node.is_elastic,
        )
        for node in remote.nodes
        if node.location_ref in locations
    ]
    counts["nodes"] = merge(tables.NODE, rows, scope=provider_id)
    unlimited = _("A server that is not ours has no limit on memory or disk; it counts as nothing.")
    shrunk = _("Less can be sold here than is reserved already; nothing more is placed until that has changed.")
    names = [server.name for server in foreign if not server.memory_mib or not server.disk_mib]
    findings = [{"kind": "unlimited_server", "subject": name, "note": unlimited} for name in names]
    findings += [{"kind": "node_shrunk", "subject": name, "note": shrunk} for name in update_sellable(provider_id)]
    return counts, findings


def foreign_servers(provider_id: UUID, remote: RemoteInventory) -> list[RemoteServerSummary]:
    """The provider's servers that are not ours. One of ours stays ours when its key was erased there."""
    refs = {str(pk): ref for pk, ref in Server.objects.filter(blueprint__provider=provider_id).values_list("pk", "ref")}
    known = set(refs.values()) - {""}
    return [
        server
        for server in remote.servers
        if server.key.lower() not in refs and (server.key or server.ref not in known)
    ]


def update_sellable(provider_id: UUID) -> list[str]:
    """Compute what the provider's nodes can sell from their totals, headroom, overcommit and foreign servers.

    Returns the names of nodes with more reserved than can be sold of them now.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SELLABLE, [provider_id])
        return [name for (name,) in cursor.fetchall()]


def merge_allocations(provider_id: UUID, remote: RemoteInventory) -> Counts:
    """Merge allocations. One is taken elsewhere when it is assigned to any server but the one it is reserved for."""
    nodes = ids_by_ref(Node.objects.filter(provider_id=provider_id))
    assigned_to = {ref: server.key.lower() for server in remote.servers for ref in server.allocation_refs}
    reserved = Allocation.objects.filter(node__provider_id=provider_id, reservation__server__isnull=False)
    reserved_for = {ref: str(server) for ref, server in reserved.values_list("ref", "reservation__server__pk")}
    rows = [
        (
            nodes[each.node_ref],
            each.ref,
            each.ip,
            each.alias,
            each.port,
            each.is_assigned and (not assigned_to.get(each.ref) or assigned_to[each.ref] != reserved_for.get(each.ref)),
        )
        for each in remote.allocations
        if each.node_ref in nodes
    ]
    return {"allocations": merge(tables.ALLOCATION, rows, scope=list(nodes.values()))}
