"""What can be sold of each node: its totals, less headroom and what servers that are not ours take of it."""

from uuid import UUID

from django.db import connection

from servers.models import Node

# A deleted server of ours that is still there takes what any other server takes; so does one that was moved to the node
# and whose reservation still is where it was. Unlimited counts as nothing.
_FOREIGN = """
    UPDATE servers_node AS node SET memory_foreign_mib = taken.memory, disk_foreign_mib = taken.disk
    FROM (
        SELECT node.id, COALESCE(sum(seen.memory_mib), 0) AS memory, COALESCE(sum(seen.disk_mib), 0) AS disk
        FROM servers_node AS node LEFT JOIN (
            SELECT seen.* FROM servers_remoteserverseen AS seen
                LEFT JOIN servers_server AS server ON server.id = seen.server_id
            WHERE seen.is_present AND (
                server.id IS NULL OR server.status = 'deleted' OR server.node_id IS DISTINCT FROM seen.node_id)
        ) AS seen ON seen.node_id = node.id
        WHERE node.provider_id = %(provider)s AND {which} GROUP BY node.id) AS taken
    WHERE node.id = taken.id AND (node.memory_foreign_mib, node.disk_foreign_mib) <> (taken.memory, taken.disk)"""
# A node that became too small for its reservations keeps them, and sells nothing until they fit.
_SELLABLE = """
    WITH computed AS (
        SELECT id,
            GREATEST(memory_mib * (100 + memory_overcommit_percent) / 100 - memory_headroom_mib - memory_foreign_mib, 0)
                AS memory,
            GREATEST(disk_mib * (100 + disk_overcommit_percent) / 100 - disk_headroom_mib - disk_foreign_mib, 0) AS disk
        FROM servers_node AS node WHERE provider_id = %(provider)s AND NOT is_elastic AND {which})
    UPDATE servers_node AS node SET
        memory_sellable_mib = computed.memory,
        memory_oversold_mib = GREATEST(node.memory_reserved_mib - computed.memory, 0),
        disk_sellable_mib = computed.disk,
        disk_oversold_mib = GREATEST(node.disk_reserved_mib - computed.disk, 0)
    FROM computed WHERE node.id = computed.id AND (
        node.memory_sellable_mib <> computed.memory OR node.disk_sellable_mib <> computed.disk
        OR node.memory_oversold_mib <> GREATEST(node.memory_reserved_mib - computed.memory, 0)
        OR node.disk_oversold_mib <> GREATEST(node.disk_reserved_mib - computed.disk, 0))"""


def lock_nodes(provider_id: UUID) -> None:
    """Lock the provider's nodes until the transaction ends, in the order of their ids, before any of them is written.

    Each statement of a sync locks the nodes that it changes, in an order of its own.
    """
    list(Node.objects.select_for_update(no_key=True).filter(provider=provider_id).order_by("pk").values_list("pk"))


def update_foreign(provider_id: UUID) -> None:
    """Add up what servers that are not ours take of the provider's nodes, as the last sync saw them."""
    with connection.cursor() as cursor:
        cursor.execute(_FOREIGN.format(which="true"), {"provider": provider_id})


def update_sellable(provider_id: UUID) -> None:
    """Compute what the provider's nodes can sell from their totals, headroom, overcommit and foreign servers."""
    with connection.cursor() as cursor:
        cursor.execute(_SELLABLE.format(which="true"), {"provider": provider_id})


def recount(node: Node) -> None:
    """Both for one node, whose lock the caller has: a server on it became ours, or is gone."""
    with connection.cursor() as cursor:
        for statement in (_FOREIGN, _SELLABLE):
            named = {"provider": node.provider_id, "node": node.pk}
            cursor.execute(statement.format(which="node.id = %(node)s"), named)
