"""Servers that take more than their share of a busy node's CPU, and servers whose disk is nearly full.

Both as of the last hour's usage history. A node is busy where its measured servers together use at least half of the
CPU that they bought. One of them takes more than its share where its part of what is used is at least one and a half
times its part of what was bought. Where a server's CPU has no limit, it bought what its plan says.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from servers.live.usage import FULL_PERCENT
from servers.models import Node

SINCE, MINUTES = timedelta(hours=1), 15
BUSY_PERCENT, SHARE_PERCENT, LEAST_CPU_PERCENT = 50, 150, 50
_MEASURED = """
    WITH used AS (
        SELECT server_id, sum(cpu_sum) / sum(samples) AS cpu, (array_agg(disk_mib ORDER BY starts_at DESC))[1] AS disk
        FROM servers_usagebucket WHERE minutes = %(minutes)s AND starts_at > %(since)s GROUP BY server_id
    ), measured AS (
        SELECT server.id, server.name, organization.name AS organization, COALESCE(node.name, '') AS node,
            server.node_id, used.cpu, used.disk, server.disk_mib,
            COALESCE(NULLIF(server.cpu_percent, 0), plan.cpu_percent) AS bought
        FROM used JOIN servers_server AS server ON server.id = used.server_id AND server.status <> 'deleted'
            JOIN catalog_plan AS plan ON plan.id = server.plan_id
            JOIN accounts_organization AS organization ON organization.id = server.organization_id
            LEFT JOIN servers_node AS node ON node.id = server.node_id
        WHERE %(node)s::uuid IS NULL OR server.node_id = %(node)s
    )"""
_NOISY = f"""{_MEASURED}, shared AS (
        SELECT *, sum(cpu) OVER of_node AS node_cpu, sum(bought) OVER of_node AS node_bought
        FROM measured WINDOW of_node AS (PARTITION BY node_id))
    SELECT id, name, organization, node, round(cpu)::int, bought,
        round(cpu * node_bought * 100 / (bought * node_cpu))::int AS share
    FROM shared
    WHERE node_id IS NOT NULL AND cpu >= %(least)s AND node_cpu * 100 >= node_bought * %(busy)s
        AND cpu * node_bought * 100 >= bought * node_cpu * %(share)s
    ORDER BY share DESC, id LIMIT %(limit)s"""
_FULL = f"""{_MEASURED}
    SELECT id, name, organization, node, disk, disk_mib, (disk * 100 / disk_mib)::int AS percent FROM measured
    WHERE disk_mib > 0 AND disk * 100 >= disk_mib::bigint * %(full)s ORDER BY percent DESC, id LIMIT %(limit)s"""


@dataclass(frozen=True)
class NoisyNeighbour:
    """CPU in percent of one core; `share_percent` is its part of what is used, by its part of what was bought."""

    server_id: UUID
    name: str
    organization: str
    node: str
    cpu_percent: int
    bought_percent: int
    share_percent: int


@dataclass(frozen=True)
class FullDisk:
    """Sizes in MiB."""

    server_id: UUID
    name: str
    organization: str
    node: str
    used_mib: int
    disk_mib: int
    percent: int


def noisy_neighbours(*, at: datetime, limit: int, node: Node | None = None) -> list[NoisyNeighbour]:
    """Those that take most beyond their share, of one node or of all. One query."""
    limits = {"busy": BUSY_PERCENT, "share": SHARE_PERCENT, "least": LEAST_CPU_PERCENT}
    return [NoisyNeighbour(*row) for row in _read(_NOISY, at, limit, node, limits)]


def full_disks(*, at: datetime, limit: int, node: Node | None = None) -> list[FullDisk]:
    """The fullest of those that are nearly full, on one node or on all. One query."""
    return [FullDisk(*row) for row in _read(_FULL, at, limit, node, {"full": FULL_PERCENT})]


def _read(statement: str, at: datetime, limit: int, node: Node | None, values: dict[str, Any]) -> list[Any]:
    named = {"minutes": MINUTES, "since": at - SINCE, "limit": limit, "node": node.pk if node else None, **values}
    with connection.cursor() as cursor:
        cursor.execute(statement, named)
        return list(cursor.fetchall())
