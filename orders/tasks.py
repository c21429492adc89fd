"""Celery's entries to what orders do by the clock."""

from celery import shared_task
from django.utils import timezone

from orders import fulfilment, services


@shared_task
def let_go_of_expired() -> int:
    """Cancel unpaid orders whose time is over."""
    return services.cancel_expired(at=timezone.now())


@shared_task
def retry_waiting() -> int:
    """Try again to place paid orders that found no room."""
    return fulfilment.retry_waiting(at=timezone.now())


@shared_task
def refund_overdue() -> int:
    """Refund paid orders that stood without a server for too long."""
    return fulfilment.refund_overdue(at=timezone.now())
