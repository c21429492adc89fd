"""Asking for convergence: a row in the queue for each server, used again and again."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from core import tenancy, work
from servers.models import ProvisioningTask

RECHECK_AFTER = timedelta(minutes=10)
# A panel allows 240 calls a minute; those who buy, pay and install need most of them more than a recheck does.
RECHECKS_A_MINUTE = 90
ONE = "server.id = %(server)s"
UNSEEN = """server.status NOT IN ('deleted', 'failed')
    AND (server.observed_at IS NULL OR server.observed_at <= %(seen_until)s)"""
UNTASKED = "NOT EXISTS (SELECT 1 FROM servers_provisioningtask AS known WHERE known.server_id = server.id)"
# A finished row is queued again, so that looking every few minutes does not fill the table.
_REVIVE = """
    UPDATE servers_provisioningtask AS task SET state = 'queued', attempts = 0, run_at = %(at)s, last_error = '',
        finished_at = NULL, is_wanted_again = false
    FROM servers_server AS server
    WHERE {condition} AND task.state IN ('done', 'dead') AND task.id = (
        SELECT latest.id FROM servers_provisioningtask AS latest WHERE latest.server_id = server.id
        ORDER BY latest.state IN ('queued', 'running') DESC, latest.created_at DESC LIMIT 1)"""
# Of those just queued, each panel's first ninety are due at once, the next ninety a minute later, and so on.
_SPREAD = f"""
    UPDATE servers_provisioningtask AS task SET run_at = %(at)s + ranked.place / %(a_minute)s * interval '1 minute'
    FROM (
        SELECT queued.id, row_number() OVER (
            PARTITION BY blueprint.provider_id ORDER BY server.observed_at NULLS FIRST, server.id) - 1 AS place
        FROM servers_provisioningtask AS queued
        JOIN servers_server AS server ON server.id = queued.server_id
        JOIN servers_blueprint AS blueprint ON blueprint.id = server.blueprint_id
        WHERE queued.state = 'queued' AND queued.run_at = %(at)s AND {UNSEEN}) AS ranked
    WHERE task.id = ranked.id AND ranked.place >= %(a_minute)s"""
_INSERT = """
    INSERT INTO servers_provisioningtask AS task
        (id, organization_id, server_id, state, attempts, run_at, last_error, is_wanted_again)
    SELECT uuidv7(), server.organization_id, server.id, 'queued', 0, %(at)s, '', false
    FROM servers_server AS server WHERE {condition}
    ON CONFLICT (server_id) WHERE state IN ('queued', 'running') DO """
_WISH = """UPDATE SET
    is_wanted_again = task.state = 'running',
    attempts = CASE task.state WHEN 'queued' THEN 0 ELSE task.attempts END,
    last_error = CASE task.state WHEN 'queued' THEN '' ELSE task.last_error END,
    run_at = CASE task.state WHEN 'queued' THEN LEAST(task.run_at, EXCLUDED.run_at) ELSE task.run_at END"""


def request_convergence(*, server_id: UUID, at: datetime) -> None:
    """See to it that the server is converged after this transaction, even where it is being converged right now."""
    with tenancy.as_worker():
        parameters = {"server": server_id, "at": at}
        if not _execute(_REVIVE.format(condition=ONE), parameters):
            _execute(_INSERT.format(condition=ONE) + _WISH, parameters)
        work.wake_worker(ProvisioningTask)


def request_recheck(*, at: datetime, not_seen_for: timedelta = RECHECK_AFTER) -> int:
    """Look again at servers nobody looked at lately: a panel can lose a suspension or a server; how many.

    Many are spread over the next minutes, the longest unseen first, so that the panel answers others too.
    """
    with tenancy.as_worker():
        parameters = {"at": at, "seen_until": at - not_seen_for, "a_minute": RECHECKS_A_MINUTE}
        asked = _execute(_REVIVE.format(condition=UNSEEN), parameters)
        asked += _execute(_INSERT.format(condition=f"{UNSEEN} AND {UNTASKED}") + "NOTHING", parameters)
        if asked:
            _execute(_SPREAD, parameters)
            work.wake_worker(ProvisioningTask)
    return asked


def _execute(sql: str, parameters: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)
