"""Making our rows agree with a gateway: after a webhook event, or where none came.

Each `sync_…` function reads one object of the gateway again and acts on what it says now. So order, duplicates and
concurrency of events cannot matter, and an event that never arrives costs minutes.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from datetime import datetime
from uuid import UUID

from billing import (
    disputes,
    gateway_accounts,
    manual_refunds,
    payment_methods,
    payment_sync,
    payments,
    refunds,
    renewals,
    subscriptions,
)
from billing.gateways.abilities import Disputes, GatewayBilling, RefundReports, Refunds
from billing.gateways.base import (
    CheckoutSession,
    GatewayInvoiceStatus,
    GatewayPayment,
    GatewaySubscriptionStatus,
    ObjectType,
    ability_of,
    account_with_code,
    driver_for,
    driver_of,
    driver_with,
)
from billing.gateways.saved import SavedMethods
from billing.models import (
    EventResult,
    GatewayAccount,
    GatewayCancelTask,
    GatewayCustomer,
    GatewayEvent,
    GatewaySubscription,
    Payment,
    PaymentMethod,
    Subscription,
)
from billing.payment_sync import PROCESSED, UNRELATED, Outcome, outcome_of, own_payment
from core import outside, tenancy

NOT_FOUND = 404
READERS = 4  # sessions that a worker reads at once: half of what `core.outside` lets a process send to one host


def process_event(event: GatewayEvent, *, at: datetime) -> None:
    """Sync the object that the event is about. Raises the errors of `outside` where the gateway cannot be read now.

    An object that the gateway does not know, as after its test data was deleted, is no reason for staff to look.
    """
    account = account_with_code(event.gateway)
    ref = driver_for(account).object_of_event(event.type, event.payload)
    try:
        result, note = (EventResult.IGNORED, "") if ref is None else SYNC[ref.type](account, ref.id, at)
    except outside.Rejected as error:
        if error.status != NOT_FOUND:
            raise
        result, note = EventResult.UNKNOWN, str(error)
    GatewayEvent.objects.filter(pk=event.pk).update(result=result, note=note[:255])


def settle_events(events: Sequence[GatewayEvent], *, at: datetime) -> set[UUID]:
    """Settle the payments of several events in one transaction; the ids of the events that are done.

    Those are events of checkout sessions that were paid exactly as asked for. All others are left to `process_event`,
    and so are these where the transaction fails.
    """
    sessions = read_sessions(events)
    paid = {
        session.payment_id: (event, session)
        for event in events
        if (session := sessions.get(event.pk)) and session.payment is not None and session.payment_id is not None
    }
    stored = Payment.objects.filter(pk__in=paid).values_list("pk", "gateway", "session_id")
    arrived: dict[UUID, GatewayPayment] = {}
    for payment_id, gateway, session_id in stored:
        event, session = paid[payment_id]
        if session.payment is not None and (gateway, session_id) == (event.gateway, session.reference):
            arrived[payment_id] = session.payment
    with tenancy.as_worker():
        settled = payments.settle_expected(arrived, at=at)
        for payment_id in settled:
            if reference := arrived[payment_id].subscription_reference:
                subscriptions.link_gateway_subscription(payment_id=payment_id, reference=reference, at=at)
        done = {paid[payment_id][0].pk for payment_id in settled}
        GatewayEvent.objects.filter(pk__in=done).update(result=EventResult.PROCESSED, note="")
    return done


def read_sessions(events: Sequence[GatewayEvent]) -> dict[UUID, CheckoutSession]:
    """The checkout sessions that the events are about, by the events' ids. Several are read at once.

    After one that cannot be read, those not yet begun are left out. A driver needs no database, and threads get none.
    """
    outside.refuse_transaction("the sessions of several events")
    drivers = {code: driver_of(code) for code in {event.gateway for event in events}}
    sessions: dict[UUID, CheckoutSession] = {}
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        reads: dict[UUID, Future[CheckoutSession]] = {}
        for event in events:
            ref = drivers[event.gateway].object_of_event(event.type, event.payload)
            if ref is not None and ref.type is ObjectType.CHECKOUT_SESSION:
                reads[event.pk] = pool.submit(drivers[event.gateway].read_session, ref.id)
        for event_id, read in reads.items():
            try:
                sessions[event_id] = read.result()
            except (outside.OutsideError, CancelledError):
                pool.shutdown(wait=False, cancel_futures=True)
    return sessions


def sync_invoice(account: GatewayAccount, reference: str, at: datetime) -> Outcome:
    """An invoice of a subscription that the gateway renews: its first period, a later one, or one not paid."""
    gateway, gateway_invoice = account.code, ability_of(account, GatewayBilling).read_invoice(reference)
    if gateway_invoice is None:
        return UNRELATED
    first = own_payment(gateway, gateway_invoice.payment_id)
    linked = _linked(gateway, gateway_invoice.subscription_reference)
    if gateway_invoice.is_renewal and first is not None and linked is None:  # its event came before the first one's
        payment_sync.sync_first_payment(first, at)
        linked = _linked(gateway, gateway_invoice.subscription_reference)
    subscription = linked.subscription if linked else _subscription(gateway_invoice.subscription_id)
    if subscription is None:
        return UNRELATED
    gateway_payment = gateway_invoice.payment
    if gateway_payment is None:
        is_unpaid = gateway_invoice.status is GatewayInvoiceStatus.UNPAID and gateway_invoice.is_renewal
        if is_unpaid and (linked is None or linked.cancel_requested_at is None):
            subscriptions.mark_past_due(subscription=subscription)
        return PROCESSED
    is_duplicate = linked is not None and linked.is_duplicate
    if gateway_invoice.is_first and first is not None:
        return outcome_of(payment_sync.settle(payment_id=first.pk, gateway_payment=gateway_payment, at=at))
    if is_duplicate or not gateway_invoice.is_renewal:
        what = "from its second subscription at the gateway" if is_duplicate else "that is no renewal"
        unexpected = payments.record_unexpected_payment(
            organization=subscription.organization,
            gateway=gateway,
            is_live=gateway_accounts.mode_of(gateway),
            gateway_payment=gateway_payment,
            reason=f"an invoice for subscription {subscription.pk} {what}",
            at=at,
        )
        return outcome_of(unexpected)
    if subscription.current_period_start is None and (first is None or first.reload().state not in Payment.RECEIVED):
        raise outside.Unavailable("the first payment of this subscription is not settled yet")
    payment = renewals.record_renewal(
        gateway=gateway, subscription_id=subscription.pk, gateway_payment=gateway_payment, at=at
    )
    return outcome_of(payment)


def sync_subscription(account: GatewayAccount, reference: str, at: datetime) -> Outcome:
    """A subscription that the gateway renews: past due or paid again, canceled at its period's end, or ended.

    One that charges beside another for the same sale, or that we had ended, changes nothing of ours.
    """
    gateway, found = account.code, ability_of(account, GatewayBilling).read_subscription(reference)
    linked, first = _linked(gateway, reference), own_payment(gateway, found.payment_id)
    if linked is None and first is not None:
        payment_sync.sync_first_payment(first, at)
        linked = _linked(gateway, reference)
    if linked is None:
        if first is not None and first.reload().state in Payment.OPEN:
            raise outside.Unavailable("the first payment of this subscription is not settled yet")
        return UNRELATED if _subscription(found.subscription_id) is None else PROCESSED  # it never began
    if found.status is GatewaySubscriptionStatus.ENDED:
        subscriptions.mark_gateway_ended(gateway=gateway, reference=reference, at=at)
    if linked.is_duplicate or linked.cancel_requested_at is not None:
        return PROCESSED
    subscription = linked.subscription
    if found.cancels_at_period_end and not subscription.cancels_at_period_end:
        subscriptions.cancel_at_period_end(subscription=subscription, at=at)
    elif subscription.cancels_at_period_end and not found.cancels_at_period_end:
        subscriptions.undo_cancellation(subscription=subscription)
    if found.status is GatewaySubscriptionStatus.PAST_DUE:
        subscriptions.mark_past_due(subscription=subscription)
    elif found.status is GatewaySubscriptionStatus.ACTIVE:
        subscriptions.lift_past_due(subscription=subscription, at=at)
    elif found.status is GatewaySubscriptionStatus.ENDED:
        reason = found.end_reason or "ended at the gateway"
        subscriptions.end_subscription(subscription=subscription, reason=reason, at=at)
    return PROCESSED


def end_gateway_subscription(task: GatewayCancelTask, *, at: datetime) -> None:
    """End a subscription at its gateway. The call is harmless where it has ended already."""
    row = task.gateway_subscription
    if row.ended_at is None:
        driver_with(row.gateway, GatewayBilling).cancel_subscription(row.reference)
        subscriptions.mark_gateway_ended(gateway=row.gateway, reference=row.reference, at=at)


def sync_refund(account: GatewayAccount, reference: str, at: datetime) -> Outcome:
    """A refund, made by us or at the gateway."""
    gateway_refund = ability_of(account, RefundReports).read_refund(reference)
    payment = payment_sync.payment_of_transaction(account, gateway_refund.transaction_id, at)
    if payment is None:
        return UNRELATED
    if isinstance(driver_for(account), Refunds):
        refunds.record_refund(payment_id=payment.pk, gateway_refund=gateway_refund, at=at)
    else:
        manual_refunds.record_reported_refund(payment_id=payment.pk, gateway_refund=gateway_refund, at=at)
    return PROCESSED


def sync_dispute(account: GatewayAccount, reference: str, at: datetime) -> Outcome:
    """A dispute: opened, won or lost."""
    gateway_dispute = ability_of(account, Disputes).read_dispute(reference)
    payment = payment_sync.payment_of_transaction(account, gateway_dispute.transaction_id, at)
    if payment is None:
        return UNRELATED
    disputes.record_dispute(payment_id=payment.pk, gateway_dispute=gateway_dispute, at=at)
    return PROCESSED


def sync_method(account: GatewayAccount, reference: str, at: datetime) -> Outcome:
    """A saved method: attached to a customer of ours, renewed by its bank, or removed."""
    found = ability_of(account, SavedMethods).read_method(reference)
    known = PaymentMethod.objects.select_related("organization").filter(gateway=account.code, reference=reference)
    if not found.customer:
        if (method := known.first()) is None:
            return UNRELATED
        with tenancy.as_worker():
            payment_methods.check_attempts_soon(method, at)
            payment_methods.mark_detached(method=method, at=at)
        return PROCESSED
    customers = GatewayCustomer.objects.select_related("organization").filter(gateway=account.code)
    customer = customers.filter(reference=found.customer).first()
    if customer is None or found.card is None:
        return UNRELATED
    with tenancy.as_worker():
        payment_methods.save_method(
            organization=customer.organization, gateway=account.code, is_live=customer.is_live, card=found.card
        )
    return PROCESSED


def _linked(gateway: str, reference: str) -> GatewaySubscription | None:
    rows = GatewaySubscription.objects.select_related("subscription__organization")
    return rows.filter(gateway=gateway, reference=reference).first()


def _subscription(subscription_id: UUID | None) -> Subscription | None:
    """Our subscription by the id in the gateway's metadata."""
    rows = Subscription.objects.select_related("organization")
    return rows.filter(pk=subscription_id).first() if subscription_id else None


SYNC: dict[ObjectType, Callable[[GatewayAccount, str, datetime], Outcome]] = {
    ObjectType.CHECKOUT_SESSION: payment_sync.sync_session,
    ObjectType.TRANSACTION: payment_sync.sync_transaction,
    ObjectType.INVOICE: sync_invoice,
    ObjectType.SUBSCRIPTION: sync_subscription,
    ObjectType.REFUND: sync_refund,
    ObjectType.DISPUTE: sync_dispute,
    ObjectType.PAYMENT_METHOD: sync_method,
}
