"""What becomes of an event: the object it names is read again, and our rows are made to agree with it.

Order, duplicates and concurrency cannot matter, because nothing is done by what the event says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from billing import disputes, payments, polling, refunds, renewals, subscriptions
from billing.gateways import driver_of
from billing.gateways.base import (
    GatewayInvoice,
    GatewayInvoiceStatus,
    GatewayPayment,
    GatewaySubscriptionStatus,
    News,
    Topic,
)
from billing.models import EventResult, GatewayCustomer, Payment, PaymentState, Subscription
from core.outside import Unavailable


@dataclass(frozen=True)
class Verdict:
    """How an event ended, for the inbox."""

    result: EventResult
    note: str = ""


ACTED = Verdict(EventResult.PROCESSED)
FOREIGN = Verdict(EventResult.UNRELATED)


def react(*, gateway: str, news: News, at: datetime) -> Verdict:
    """Look at what the news is about. Raises the errors of `outside` where the gateway cannot be asked now."""
    return _REACTIONS[news.topic](gateway, news.reference, at)


def _page(gateway: str, reference: str, at: datetime) -> Verdict:
    page = driver_of(gateway).read_session(reference)
    payment = _payment(gateway, page.payment_id)
    if payment is None:
        return FOREIGN
    polling.sync_session(payment_id=payment.pk, page=page, at=at)
    return _about(payment)


def _payment(gateway: str, payment_id: UUID | None) -> Payment | None:
    return Payment.objects.filter(pk=payment_id, gateway=gateway).first() if payment_id else None


def _about(payment: Payment) -> Verdict:
    row = payment.reload()
    return Verdict(EventResult.UNDER_REVIEW, row.review_reason) if row.state == PaymentState.UNDER_REVIEW else ACTED


def _bill(gateway: str, reference: str, at: datetime) -> Verdict:
    bill = driver_of(gateway).bill(reference)
    subscription = _subscription(bill.subscription_id, bill.subscription_reference) if bill else None
    if bill is None or subscription is None:
        return FOREIGN
    if bill.receipt is not None:
        return _about(_paid_bill(gateway, bill, bill.receipt, subscription, at))
    if bill.status is GatewayInvoiceStatus.UNPAID and bill.is_renewal:
        subscriptions.mark_past_due(subscription=subscription, at=at)
    return ACTED


def _paid_bill(
    gateway: str, bill: GatewayInvoice, receipt: GatewayPayment, subscription: Subscription, at: datetime
) -> Payment:
    first = _payment(gateway, bill.payment_id)
    if bill.is_first and first is not None:
        return payments.settle(payment_id=first.pk, receipt=receipt, at=at)
    if not bill.is_renewal:
        reason = f"a bill for subscription {subscription.pk} that is no renewal"
        return renewals.hold(subscription=subscription, receipt=receipt, reason=reason, at=at)
    if subscription.current_period_start is None:
        _settle_first(first, at)
    return renewals.record(subscription_id=subscription.pk, receipt=receipt, at=at)


def _settle_first(first: Payment | None, at: datetime) -> None:
    """A later period's money overtook the news of the first."""
    if first is not None:
        polling.look_at(payment_id=first.pk, at=at)
    if first is None or first.reload().state not in Payment.RECEIVED:
        raise Unavailable("the first payment of this subscription is not settled yet")


def _subscription(subscription_id: UUID | None, reference: str) -> Subscription | None:
    """Ours, by the mark or by the reference; a mark on another subscription than the known one does not count."""
    is_it = Q(stripe_subscription_id=reference) | Q(pk=subscription_id, stripe_subscription_id__isnull=True)
    return Subscription.objects.select_related("organization").filter(is_it).first()


def _recurring(gateway: str, reference: str, at: datetime) -> Verdict:
    found = driver_of(gateway).recurring(reference)
    subscription = _subscription(found.subscription_id, found.reference)
    if subscription is None:
        return FOREIGN
    if found.cancels_at_period_end != subscription.cancels_at_period_end:
        subscriptions.cancel_at_period_end(subscription=subscription, is_wanted=found.cancels_at_period_end, at=at)
    if found.status is GatewaySubscriptionStatus.PAST_DUE:
        subscriptions.mark_past_due(subscription=subscription, at=at)
    if found.status is GatewaySubscriptionStatus.ENDED:
        subscriptions.note_collection_ended(subscription_id=subscription.pk, at=at)
        reason = found.end_reason or "ended at the gateway"
        subscriptions.end_subscription(subscription=subscription, reason=reason, at=at)
    return ACTED


def _refund(gateway: str, reference: str, at: datetime) -> Verdict:
    report = driver_of(gateway).refund(reference)
    payment = _payment_behind(gateway, report.transaction_id, at)
    if payment is None:
        return FOREIGN
    refunds.take_report(payment_id=payment.pk, report=report, at=at)
    return ACTED


def _dispute(gateway: str, reference: str, at: datetime) -> Verdict:
    report = driver_of(gateway).dispute(reference)
    payment = _payment_behind(gateway, report.transaction_id, at)
    if payment is None:
        return FOREIGN
    disputes.take_report(payment_id=payment.pk, report=report, at=at)
    return ACTED


def _payment_behind(gateway: str, transaction_id: str, at: datetime) -> Payment | None:
    """The payment of a transaction, settled first where this news overtook that of the money; None when not ours."""
    if not transaction_id:
        return None
    known = Payment.objects.filter(gateway=gateway, transaction_id=transaction_id)
    if known.exists():
        return known.get()
    transaction = driver_of(gateway).transaction(transaction_id)
    payment = _payment(gateway, transaction.payment_id)
    if payment is not None:
        polling.look_at(payment_id=payment.pk, at=at)
    elif not GatewayCustomer.objects.filter(gateway=gateway, reference=transaction.customer).exists():
        return None
    if not known.exists():
        raise Unavailable(f"the payment behind {transaction_id} is not settled yet")
    return known.get()


_REACTIONS: dict[Topic, Callable[[str, str, datetime], Verdict]] = {
    Topic.PAGE: _page,
    Topic.BILL: _bill,
    Topic.RECURRING: _recurring,
    Topic.REFUND: _refund,
    Topic.DISPUTE: _dispute,
}
