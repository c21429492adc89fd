"""Scheduled tasks of accounts."""

from celery import shared_task
from django.utils import timezone

from accounts import services


@shared_task
def delete_ended_sessions() -> int:
    """Delete expired sessions."""
    return services.delete_ended_sessions(at=timezone.now())
