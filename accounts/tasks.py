"""Celery's entries to what accounts do by the clock."""

from celery import shared_task
from django.utils import timezone

from accounts import services


@shared_task
def forget_ended_sessions() -> int:
    """Delete sessions that ran out."""
    return services.forget_ended_sessions(at=timezone.now())
