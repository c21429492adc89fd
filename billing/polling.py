"""Asking the gateway how open payments are, so that a webhook nobody heard costs minutes and not a customer."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from billing import checkout, customers, payments, subscriptions
from billing.gateways import driver_of
from billing.gateways.base import CheckoutSession, CheckoutSessionStatus
from billing.models import Gateway, Payment, PaymentState, Subscription, SubscriptionStatus
from core import outside, tenancy

log = logging.getLogger(__name__)
# Since the page was asked for: until when, and how often to look.
SCHEDULE = (
    (timedelta(minutes=2), timedelta(seconds=30)),
    (timedelta(minutes=5), timedelta(minutes=1)),
    (timedelta(minutes=15), timedelta(minutes=2)),
)
LATER = timedelta(minutes=5)
LEASE = timedelta(minutes=2)  # until another poller may take up what this one dropped


def poll_open_payments(*, at: datetime, limit: int = 100) -> int:
    """Look at the open payments that are due; the number looked at. Two pollers at once share the work."""
    due = _claimed(at, limit)
    for payment_id in due:
        try:
            look_at(payment_id=payment_id, at=at)
        except outside.OutsideError as error:
            log.warning("payment %s could not be looked at: %s", payment_id, error)
        except Exception:  # one payment's trouble must not keep the others waiting; it is tried again
            log.exception("payment %s could not be looked at", payment_id)
    return len(due)


def _claimed(at: datetime, limit: int) -> list[UUID]:
    with tenancy.as_worker():
        rows = Payment.objects.select_for_update(no_key=True, skip_locked=True).filter(
            state__in=Payment.OPEN, poll_at__lte=at
        )
        ids = list(rows.order_by("poll_at").values_list("pk", flat=True)[:limit])
        Payment.objects.filter(pk__in=ids).update(poll_at=at + LEASE)
    return ids


def stop_collecting(*, at: datetime, limit: int = 100) -> int:
    """Have the gateway stop renewing what has ended with us; the number stopped. What fails is tried next time."""
    over = Subscription.objects.filter(
        status__in=[SubscriptionStatus.CANCELED, SubscriptionStatus.ENDED],
        stripe_subscription_id__isnull=False,
        collection_ended_at__isnull=True,
    )
    return sum(_stop(row, at) for row in over.order_by("ended_at")[:limit])


def _stop(subscription: Subscription, at: datetime) -> bool:
    try:
        driver_of(Gateway.STRIPE).cancel_subscription(str(subscription.stripe_subscription_id))
    except outside.OutsideError as error:
        log.warning("subscription %s is still collected: %s", subscription.pk, error)
        return False
    subscriptions.note_collection_ended(subscription_id=subscription.pk, at=at)
    return True


def look_at(*, payment_id: UUID, at: datetime) -> None:
    """Ask the gateway how one open payment stands, and act on it. Calls the gateway; any number of times."""
    payment = Payment.objects.select_related("organization").get(pk=payment_id)
    if payment.state not in Payment.OPEN:
        return
    page = _page(payment)
    is_over = payment.state == PaymentState.PENDING and payment.expires_at is not None and payment.expires_at <= at
    if page is None:
        if is_over:
            payments.expire(payment_id=payment_id, at=at)
    else:
        if is_over and page.status is CheckoutSessionStatus.OPEN:
            page = driver_of(payment.gateway).expire_session(page.reference)
        sync_session(payment_id=payment_id, page=page, at=at)
    _schedule(payment_id, at)


def _page(payment: Payment) -> CheckoutSession | None:
    """The payment's page; None when none was ever made."""
    driver = driver_of(payment.gateway)
    if payment.session_id is not None:
        return driver.read_session(payment.session_id)
    if payment.asked_at is None:
        return None
    customer = customers.reference_of(organization=payment.organization, gateway=payment.gateway)
    return driver.find_session(customer=customer, payment_id=payment.pk)


def sync_session(*, payment_id: UUID, page: CheckoutSession, at: datetime) -> None:
    """Make the payment say what its page says; any number of times, in any order."""
    checkout.store_session(payment_id=payment_id, page=page, at=at)
    if page.receipt is not None:
        payments.settle(payment_id=payment_id, receipt=page.receipt, at=at)
        return
    if Payment.objects.filter(pk=payment_id, session_id=page.reference).exists():
        _take_unpaid(payment_id, page, at)


def _take_unpaid(payment_id: UUID, page: CheckoutSession, at: datetime) -> None:
    if page.status is CheckoutSessionStatus.EXPIRED:
        payments.expire(payment_id=payment_id, at=at)
    elif page.status is CheckoutSessionStatus.FAILED:
        payments.fail(payment_id=payment_id, reason=page.failure or "the bank refused", at=at)
    elif page.status is CheckoutSessionStatus.CLEARING:
        payments.mark_clearing(payment_id=payment_id, at=at)


def _schedule(payment_id: UUID, at: datetime) -> None:
    """When to look next, at its expiry at the latest."""
    payment = Payment.objects.get(pk=payment_id)
    if payment.state == PaymentState.PROCESSING:
        next_at = at + payments.CLEARING_POLL
    else:
        next_at = at + _gap(at - (payment.asked_at or at))
        if payment.expires_at is not None and payment.expires_at > at:
            next_at = min(next_at, payment.expires_at)
    with tenancy.as_worker():
        Payment.objects.filter(pk=payment_id, state__in=Payment.OPEN).update(poll_at=next_at)


def _gap(age: timedelta) -> timedelta:
    return next((gap for until, gap in SCHEDULE if age < until), LATER)
