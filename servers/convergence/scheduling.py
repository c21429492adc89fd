"""Requesting convergence: each server has one provisioning task, which is queued again whenever it is needed."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from core import tenancy, work
from servers.models import ProvisioningTask

RECHECK_AFTER = timedelta(minutes=10)
# A panel allows 240 calls a minute; those who buy, pay and install need most of them more than a recheck does.
RECHECKS_PER_MINUTE = 90
# Of each provider's servers the first ninety are due at once, the next ninety a minute later, and so on.
# A task that runs now stays as it is, and runs once more afterwards. One that waits may only move forward.
_UPSERT = """
    INSERT INTO servers_provisioningtask AS task
        (id, organization_id, server_id, state, attempts, last_error, is_requested_again, run_at)
    SELECT uuidv7(), server.organization_id, server.id, 'queued', 0, '', false,
        %(at)s + (row_number() OVER (
            PARTITION BY blueprint.provider_id ORDER BY server.observed_at NULLS FIRST, server.id
        ) - 1) / %(per_minute)s * interval '1 minute'
    FROM servers_server AS server JOIN servers_blueprint AS blueprint ON blueprint.id = server.blueprint_id
    WHERE {condition}
    ORDER BY server.id
    ON CONFLICT (server_id) DO UPDATE SET
        is_requested_again = task.state = 'running',
        state = CASE task.state WHEN 'running' THEN 'running' ELSE 'queued' END,
        attempts = CASE task.state WHEN 'running' THEN task.attempts ELSE 0 END,
        outages = CASE task.state WHEN 'running' THEN task.outages ELSE 0 END,
        last_error = CASE task.state WHEN 'running' THEN task.last_error ELSE '' END,
        run_at = CASE task.state WHEN 'running' THEN task.run_at WHEN 'queued' THEN LEAST(task.run_at, EXCLUDED.run_at)
            ELSE EXCLUDED.run_at END,
        finished_at = NULL"""
_NAMED = "server.id = ANY(%(servers)s)"
_NOT_OBSERVED = """server.status NOT IN ('deleted', 'failed')
    AND (server.observed_at IS NULL OR server.observed_at <= %(observed_until)s)
    AND NOT EXISTS (SELECT 1 FROM servers_provisioningtask AS known
        WHERE known.server_id = server.id AND known.state IN ('queued', 'running'))"""


def request_convergence(*, server_ids: Collection[UUID], at: datetime) -> None:
    """Have the servers converged after this transaction, even where they are being converged right now."""
    _upsert(_NAMED, {"servers": list(server_ids), "at": at})


def request_recheck(*, at: datetime, not_observed_for: timedelta = RECHECK_AFTER) -> int:
    """Converge servers that were not observed lately: a panel can lose a suspension or a server; how many.

    Many are spread over the next minutes, the longest unobserved first, so that the panel answers others too.
    """
    return _upsert(_NOT_OBSERVED, {"at": at, "observed_until": at - not_observed_for})


def _upsert(condition: str, parameters: dict[str, Any]) -> int:
    """Queue the tasks of the servers that the condition selects, and wake a worker; how many."""
    with tenancy.within_worker():
        with connection.cursor() as cursor:
            cursor.execute(_UPSERT.format(condition=condition), {**parameters, "per_minute": RECHECKS_PER_MINUTE})
            count = int(cursor.rowcount)
        if count:
            work.wake_worker(ProvisioningTask)
    return count
