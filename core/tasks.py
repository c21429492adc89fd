"""Tasks that perform durable work."""

from celery import shared_task
from django.core.cache import cache

from core import audit_checkpoints, clock, work


@shared_task
def run_work(label: str) -> int:
    """Perform what is due in one work table."""
    return work.run_due(models=(work.model_of(label),))


@shared_task
def sweep() -> int:
    """Perform whatever is due anywhere: finds what a lost message was about."""
    return work.run_due()


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
