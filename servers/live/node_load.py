"""Which nodes are busy, by what their servers were measured to use."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from core import site_settings, tenancy, work
from servers.models import Node

# Running servers are measured every five minutes. What was measured earlier says nothing of now.
FRESH_FOR = timedelta(minutes=15)
_CHANGED = """
    WITH latest AS (
        SELECT DISTINCT ON (server_id) server_id, cpu_percent, memory_mib FROM servers_usagesample
        WHERE at > %(since)s AND at <= %(at)s ORDER BY server_id, at DESC
    ), used AS (
        SELECT server.node_id, sum(latest.cpu_percent) AS cpu_percent, sum(latest.memory_mib) AS memory_mib
        FROM latest JOIN servers_server AS server ON server.id = latest.server_id GROUP BY server.node_id
    ), measured AS (
        SELECT node.id, node.busy_at, COALESCE(NOT node.is_elastic AND (
            used.memory_mib * 100 >= node.memory_mib * %(memory)s OR used.cpu_percent >= node.cpu_cores * %(cpu)s
        ), false) AS is_busy
        FROM servers_node AS node LEFT JOIN used ON used.node_id = node.id
    )
    SELECT id, is_busy FROM measured WHERE is_busy <> (busy_at IS NOT NULL) ORDER BY id"""


def measure(*, at: datetime) -> int:
    """Mark the nodes that are busy, and no longer those that are not, or of which nothing was measured lately.

    Only what changes is written, a row at a time, so that nobody waits; the number of nodes.
    """
    limits = {name: site_settings.get(f"servers.busy_{name}_percent") for name in ("cpu", "memory")}
    with tenancy.as_worker(), connection.cursor() as cursor:
        cursor.execute(_CHANGED, {"since": at - FRESH_FOR, "at": at, **limits})
        changed = dict(cursor.fetchall())

    def mark(node_id: UUID) -> int:
        with tenancy.as_worker():
            return Node.objects.filter(pk=node_id).update(busy_at=at if changed[node_id] else None)

    return work.run_each(list(changed), mark, name="node load")
