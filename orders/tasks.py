"""Scheduled tasks of orders."""

from celery import shared_task

from core import clock
from orders import cancellation, fulfilment, holds
from orders.affiliates import commissions
from orders.changes import applying, ending
from orders.waitlist import offering


@shared_task
def cancel_expired() -> int:
    """Cancel orders that were not paid in time."""
    return cancellation.cancel_expired(at=clock.now())


@shared_task
def retry_waiting() -> int:
    """Try paid orders again that wait for capacity."""
    return fulfilment.retry_waiting(at=clock.now())


@shared_task
def advance_waitlist() -> int:
    """Reserve what came free for those who wait for it."""
    return offering.advance(at=clock.now())


@shared_task
def advance_plan_changes() -> int:
    """Apply scheduled plan changes whose period has begun, and end those that were not paid in time."""
    at = clock.now()
    return applying.apply_due(at=at) + ending.expire_due(at=at)


@shared_task
def review_holds() -> int:
    """Suspend what begins a time whose money went back, and resume what begins a time that is paid."""
    return holds.review(at=clock.now())


@shared_task
def fail_overdue() -> int:
    """Fail paid orders whose server does not run in time."""
    return fulfilment.fail_overdue(at=clock.now())


@shared_task
def refund_overdue() -> int:
    """Refund paid orders whose server did not run in time."""
    return cancellation.refund_overdue(at=clock.now())


@shared_task
def advance_commissions() -> int:
    """Attribute paid orders to affiliates, and decide what is no longer on hold."""
    return commissions.advance(at=clock.now())
