"""Asking for convergence: rows in the queue, at most one waiting or running for a server."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from core import tenancy, work
from servers.models import ProvisioningTask

RECHECK_AFTER = timedelta(minutes=10)
_INSERT = """
    INSERT INTO servers_provisioningtask AS task
        (id, organization_id, server_id, state, attempts, run_at, last_error, is_wanted_again)
    SELECT uuidv7(), server.organization_id, server.id, 'queued', 0, %(at)s, '', false
    FROM servers_server AS server WHERE {condition}
    ON CONFLICT (server_id) WHERE state IN ('queued', 'running') DO """
_WISH = (
    _INSERT.format(condition="server.id = %(server)s")
    + """UPDATE SET
        is_wanted_again = task.state = 'running',
        attempts = CASE task.state WHEN 'queued' THEN 0 ELSE task.attempts END,
        run_at = CASE task.state WHEN 'queued' THEN LEAST(task.run_at, EXCLUDED.run_at) ELSE task.run_at END"""
)
_LOOK = (
    _INSERT.format(
        condition="""server.status NOT IN ('deleted', 'failed')
            AND (server.observed_at IS NULL OR server.observed_at <= %(seen_until)s)"""
    )
    + "NOTHING"
)


def request_convergence(*, server_id: UUID, at: datetime) -> None:
    """See to it that the server is converged after this transaction, even where it is being converged right now."""
    with tenancy.system():
        _execute(_WISH, {"server": server_id, "at": at})
        work.nudge(ProvisioningTask)


def request_recheck(*, at: datetime, not_seen_for: timedelta = RECHECK_AFTER) -> int:
    """Look again at servers nobody looked at lately: a panel can lose a suspension or a server; how many."""
    with tenancy.system():
        asked = _execute(_LOOK, {"at": at, "seen_until": at - not_seen_for})
        if asked:
            work.nudge(ProvisioningTask)
    return asked


def _execute(sql: str, parameters: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)
