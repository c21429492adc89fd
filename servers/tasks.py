"""Celery's entries to servers' services."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from servers import capacity, inventory, work


@shared_task(acks_late=True)
def sync_inventory() -> int:
    """Mirror every active provider; the number of pulls."""
    return len(inventory.sync_all(at=timezone.now()))


@shared_task(acks_late=True)
def sync_provider(provider_id: str) -> str:
    """Mirror one provider; the run's state, or "busy" while another process is at it."""
    try:
        return str(inventory.sync(provider_id=UUID(provider_id), at=timezone.now()).state)
    except inventory.SyncBusy:
        return "busy"


@shared_task(acks_late=True)
def expire_reservations() -> int:
    """Give back room that was held and not paid in time; the number of reservations."""
    return capacity.expire_due(at=timezone.now())


@shared_task(acks_late=True)
def recheck_servers() -> int:
    """Look again at servers nobody looked at lately; the number asked for."""
    return work.request_recheck(at=timezone.now())
