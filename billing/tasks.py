"""Celery's entries to billing."""

from celery import shared_task
from django.utils import timezone

from billing import polling


@shared_task
def poll_open_payments() -> int:
    """Look at the open payments that are due, and end at the gateway what has ended here."""
    polling.stop_collecting(at=timezone.now())
    return polling.poll_open_payments(at=timezone.now())
