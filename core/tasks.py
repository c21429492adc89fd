"""Tasks that perform durable work."""

from typing import Any

from celery import shared_task
from django.core.cache import cache

from core import audit_checkpoints, clock, queue, work


@shared_task
def run_work(label: str) -> int:
    """Perform what is due in one work table."""
    return work.run_due(models=(work.model_of(label),))


@shared_task
def sweep() -> int:
    """Perform whatever is due in tables without lanes: finds what a lost message was about."""
    return work.run_due(models=tuple(model for model in work.registered() if model.LANE is None))


@shared_task
def sweep_lanes() -> int:
    """Perform whatever is due in tables with lanes."""
    return work.run_due(models=tuple(model for model in work.registered() if model.LANE is not None))


def route(name: str, args: Any, *_details: Any, **_options: Any) -> dict[str, str] | None:
    """Celery's router of work in tables with lanes; None leaves a call to the other routes."""
    try:
        has_lane = name == run_work.name and work.model_of(*args).LANE is not None
    except (LookupError, TypeError, ValueError):  # the message names no table of ours
        has_lane = False
    return {"queue": queue.LANES} if has_lane else None


@shared_task
def sign_audit_trail() -> int | None:
    """Sign the newest entries of the audit trail; the position of the new head."""
    signed = audit_checkpoints.sign_head()
    return signed.position if signed else None


@shared_task
def purge_done() -> int:
    """Delete work that was done long ago."""
    return work.purge_done(at=clock.now())


@shared_task
def purge_cache() -> int:
    """Delete what has expired in the cache's table. Redis does so by itself."""
    return cache.delete_expired() if hasattr(cache, "delete_expired") else 0
