"""billing's Celery tasks."""

from celery import shared_task
from django.utils import timezone

from billing import gateway_sync, renewals


@shared_task
def poll_open_payments() -> int:
    """Stop what the gateway still renews although it has ended here, and sync the open payments that are due."""
    renewals.stop_ended_renewals(at=timezone.now())
    return gateway_sync.poll_open_payments(at=timezone.now())
