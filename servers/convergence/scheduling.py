"""Requesting convergence: each server has one provisioning task, which is queued again whenever it is needed."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.backends.postgresql.psycopg_any import Jsonb

from core import tenancy, work
from servers.drivers import registry
from servers.models import ProvisioningTask

RECHECK_AFTER = timedelta(minutes=10)
# Those who buy, pay and install need most of a provider's calls more than a recheck does.
RECHECK_SHARE_PERCENT = 37
# Of each provider's servers as many are due at once as may be checked in a minute, the next a minute later, and so on.
# A task that runs now stays as it is, and runs once more afterwards. One that waits may only move forward.
_UPSERT = """
    INSERT INTO servers_provisioningtask AS task
        (id, organization_id, server_id, provider_id, node_id, state, attempts, last_error, is_requested_again, run_at)
    SELECT uuidv7(), server.organization_id, server.id, provider.id, server.node_id, 'queued', 0, '', false,
        %(at)s + (row_number() OVER (
            PARTITION BY blueprint.provider_id ORDER BY server.observed_at NULLS FIRST, server.id
        ) - 1) / COALESCE((%(per_minute)s::jsonb ->> provider.kind)::int, 1) * interval '1 minute'
    FROM servers_server AS server
        JOIN servers_blueprint AS blueprint ON blueprint.id = server.blueprint_id
        JOIN servers_provider AS provider ON provider.id = blueprint.provider_id
    WHERE {condition}
    ORDER BY server.id
    ON CONFLICT (server_id) DO UPDATE SET
        node_id = EXCLUDED.node_id,
        is_requested_again = task.state = 'running',
        state = CASE task.state WHEN 'running' THEN 'running' ELSE 'queued' END,
        attempts = CASE task.state WHEN 'running' THEN task.attempts ELSE 0 END,
        outages = CASE task.state WHEN 'running' THEN task.outages ELSE 0 END,
        last_error = CASE task.state WHEN 'running' THEN task.last_error ELSE '' END,
        run_at = CASE task.state WHEN 'running' THEN task.run_at WHEN 'queued' THEN LEAST(task.run_at, EXCLUDED.run_at)
            ELSE EXCLUDED.run_at END,
        finished_at = NULL"""
_NAMED = "server.id = ANY(%(servers)s)"
_NOT_OBSERVED = """server.status <> 'deleted'
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
    per_minute = {
        kind: max(1, facts.calls_per_minute * RECHECK_SHARE_PERCENT // 100) for kind, facts in registry.facts().items()
    }
    with tenancy.within_worker():
        with connection.cursor() as cursor:
            cursor.execute(_UPSERT.format(condition=condition), {**parameters, "per_minute": Jsonb(per_minute)})
            count = int(cursor.rowcount)
        if count:
            work.wake_worker(ProvisioningTask)
    return count
