"""Scheduled tasks of accounts."""

from celery import shared_task

from accounts import services
from core import clock


@shared_task
def delete_ended_sessions() -> int:
    """Delete expired sessions."""
    return services.delete_ended_sessions(at=clock.now())
