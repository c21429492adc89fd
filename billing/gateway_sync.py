"""Making our rows agree with a gateway: after a webhook event, and by polling payments.

Each `sync_…` function reads one object of the gateway again and acts on what it says now. So order, duplicates and
concurrency of events cannot matter, and an event that never arrives costs minutes.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

from billing import customers, disputes, payments, refunds, renewals, subscriptions
from billing.gateways.abilities import Disputes, GatewayBilling, Refunds, SessionExpiry, Transactions
from billing.gateways.base import (
    CheckoutSession,
    CheckoutSessionStatus,
    Driver,
    GatewayInvoiceStatus,
    GatewayPayment,
    GatewaySubscriptionStatus,
    ObjectType,
    driver_of,
    driver_with,
)
from billing.gateways.reconciling import Reconciling
from billing.models import (
    EventResult,
    GatewayCancelTask,
    GatewayCustomer,
    GatewayEvent,
    GatewaySubscription,
    Payment,
    PaymentState,
    Subscription,
)
from core import outside, tenancy, work

# How often an open payment is polled, by the time since its checkout session was requested.
POLL_INTERVALS = (
    (timedelta(minutes=2), timedelta(seconds=30)),
    (timedelta(minutes=5), timedelta(minutes=1)),
    (timedelta(minutes=15), timedelta(minutes=2)),
)
LAST_POLL_INTERVAL = timedelta(minutes=5)
NOT_FOUND = 404
READERS = 4  # sessions that a worker reads at once: half of what `core.outside` lets a process send to one host
OVER = frozenset({CheckoutSessionStatus.FAILED, CheckoutSessionStatus.EXPIRED})
POLL_LEASE = timedelta(minutes=2)  # until another poller may take over what this one did not finish

type Outcome = tuple[EventResult, str]  # how an event ended, and a note for staff
PROCESSED: Outcome = (EventResult.PROCESSED, "")
UNRELATED: Outcome = (EventResult.UNRELATED, "")


def process_event(event: GatewayEvent, *, at: datetime) -> None:
    """Sync the object that the event is about. Raises the errors of `outside` where the gateway cannot be read now.

    An object that the gateway does not know, as after its test data was deleted, is no reason for staff to look.
    """
    ref = driver_of(event.gateway).object_of_event(event.type, event.payload)
    try:
        result, note = (EventResult.IGNORED, "") if ref is None else SYNC[ref.type](event.gateway, ref.id, at)
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


def poll_open_payments(*, at: datetime, limit: int = 100) -> int:
    """Sync the payments that are due: open ones, and once more those that were closed; the number of them.

    Two pollers at once share the work.
    """
    with tenancy.as_worker():
        due = (
            Payment.objects.filter(poll_at__lte=at).order_by("poll_at").select_for_update(no_key=True, skip_locked=True)
        )
        states = dict(due.values_list("pk", "state")[:limit])
        Payment.objects.filter(pk__in=states).update(poll_at=at + POLL_LEASE)

    def sync(payment_id: UUID) -> None:
        act = sync_payment if states[payment_id] in Payment.OPEN else sync_closed_payment
        act(payment_id=payment_id, at=at)

    work.run_each(states, sync, name="sync")
    return len(states)


def sync_payment(*, payment_id: UUID, at: datetime) -> None:
    """Read the checkout session of an open payment, close it when its time is over, and plan the next poll."""
    payment = Payment.objects.select_related("organization").get(pk=payment_id)
    if payment.state not in Payment.OPEN:
        return
    driver, session = driver_of(payment.gateway), None
    if payment.session_id is not None:
        session = driver.read_session(payment.session_id)
    elif payment.session_requested_at is not None:  # it may have been created although the answer was lost
        session = find_session(driver, payment)
    is_over = payment.expires_at is not None and payment.expires_at <= at
    is_ending = session is not None and (is_over or session.status in OVER)
    if is_ending and not driver.HAS_IDEMPOTENCY_KEYS:  # a repeat may have created another session that was paid
        found = find_session(driver, payment)
        session = found if found is not None and found.payment is not None else session
    if payment.state == PaymentState.PENDING and (is_over or payment.failure):  # with a failure nobody may pay there
        if session is None:
            payments.expire(payment_id=payment_id, at=at)
        elif session.status is CheckoutSessionStatus.OPEN and isinstance(driver, SessionExpiry):
            session = driver.expire_session(session.reference)
    if session is not None:
        apply_session(payment_id=payment_id, session=session, at=at)
    payment = Payment.objects.get(pk=payment_id)  # the next poll is planned by what it has become
    if payment.state == PaymentState.PROCESSING:
        next_at = at + payments.PROCESSING_POLL
    else:
        age = at - (payment.session_requested_at or at)
        next_at = at + next((gap for until, gap in POLL_INTERVALS if age < until), LAST_POLL_INTERVAL)
        if payment.expires_at is not None and payment.expires_at > at:
            next_at = min(next_at, payment.expires_at)
    with tenancy.as_worker():
        Payment.objects.filter(pk=payment_id, state__in=Payment.OPEN).update(poll_at=next_at)


def sync_closed_payment(*, payment_id: UUID, at: datetime) -> None:
    """Look once more for the money of a payment that failed or expired: a bank may confirm late, and no webhook come.

    Where the gateway lists its events, catching up with them finds it.
    """
    payment = Payment.objects.select_related("organization").get(pk=payment_id)
    driver = driver_of(payment.gateway)
    if not isinstance(driver, Reconciling):
        session = find_session(driver, payment)
        if session is not None and session.payment is not None:
            settle(payment_id=payment_id, gateway_payment=session.payment, at=at)
    with tenancy.as_worker():
        Payment.objects.filter(pk=payment_id).update(poll_at=None)


def find_session(driver: Driver, payment: Payment) -> CheckoutSession | None:
    """The payment's session by our payment's id, of several one that was paid."""
    customer = customers.ensure_customer(driver, organization=payment.organization, gateway=payment.gateway)
    return driver.find_session(customer=customer, payment_id=payment.pk)


def apply_session(*, payment_id: UUID, session: CheckoutSession, at: datetime) -> None:
    """Make the payment agree with its session; any number of times, in any order."""
    payment = payments.store_session(payment_id=payment_id, session=session)
    if session.payment is not None:
        settle(payment_id=payment_id, gateway_payment=session.payment, at=at)
    elif payment.session_id == session.reference:
        if session.status is CheckoutSessionStatus.EXPIRED and payment.failure:
            payments.fail(payment_id=payment_id, reason=payment.failure, at=at)
        elif session.status is CheckoutSessionStatus.EXPIRED:
            payments.expire(payment_id=payment_id, at=at)
        elif session.status is CheckoutSessionStatus.FAILED:
            payments.fail(payment_id=payment_id, reason=session.failure or "the bank refused", at=at)
        elif session.status is CheckoutSessionStatus.PROCESSING:
            payments.mark_processing(payment_id=payment_id, at=at)


def settle(*, payment_id: UUID, gateway_payment: GatewayPayment, at: datetime) -> Payment:
    """Record the money, and which gateway subscription goes on charging for what it paid, in one transaction."""
    with tenancy.as_worker():
        payment = payments.settle(payment_id=payment_id, gateway_payment=gateway_payment, at=at)
        reference = gateway_payment.subscription_reference
        is_of_its_mode = gateway_payment.is_live is payment.is_live
        if reference and is_of_its_mode and gateway_payment.payment_id == payment_id:
            subscriptions.link_gateway_subscription(payment_id=payment_id, reference=reference, at=at)
    return payment


def sync_session(gateway: str, reference: str, at: datetime) -> Outcome:
    """A checkout session: its payment is settled, failed, expired or waits for the bank."""
    session = driver_of(gateway).read_session(reference)
    payment = _payment(gateway, session.payment_id)
    if payment is None:
        return UNRELATED
    apply_session(payment_id=payment.pk, session=session, at=at)
    return _outcome(payment)


def sync_transaction(gateway: str, reference: str, at: datetime) -> Outcome:
    """Money that arrived for a payment of ours, also where its session failed before: a debit can be made again."""
    known = Payment.objects.filter(gateway=gateway, transaction_id=reference).first()
    if known is not None:
        return _outcome(known)
    transaction = driver_with(gateway, Transactions).read_transaction(reference)
    payment = _payment(gateway, transaction.payment_id)
    if payment is None or transaction.payment is None:
        return EventResult.IGNORED, "it names no payment of ours: its invoice is followed, or its balance transaction"
    return _outcome(settle(payment_id=payment.pk, gateway_payment=transaction.payment, at=at))


def sync_invoice(gateway: str, reference: str, at: datetime) -> Outcome:
    """An invoice of a subscription that the gateway renews: its first period, a later one, or one not paid."""
    gateway_invoice = driver_with(gateway, GatewayBilling).read_invoice(reference)
    if gateway_invoice is None:
        return UNRELATED
    linked = _linked(gateway, gateway_invoice.subscription_reference)
    subscription = linked.subscription if linked else _subscription(gateway_invoice.subscription_id)
    if subscription is None:
        return UNRELATED
    is_duplicate = linked is not None and linked.is_duplicate
    gateway_payment = gateway_invoice.payment
    if gateway_payment is None:
        is_unpaid = gateway_invoice.status is GatewayInvoiceStatus.UNPAID and gateway_invoice.is_renewal
        if is_unpaid and (linked is None or linked.cancel_requested_at is None):
            subscriptions.mark_past_due(subscription=subscription)
        return PROCESSED
    first = _payment(gateway, gateway_invoice.payment_id)
    if gateway_invoice.is_first and first is not None:
        return _outcome(settle(payment_id=first.pk, gateway_payment=gateway_payment, at=at))
    if is_duplicate or not gateway_invoice.is_renewal:
        what = "from its second subscription at the gateway" if is_duplicate else "that is no renewal"
        unexpected = payments.record_unexpected_payment(
            organization=subscription.organization,
            gateway=gateway,
            gateway_payment=gateway_payment,
            reason=f"an invoice for subscription {subscription.pk} {what}",
            at=at,
        )
        return _outcome(unexpected)
    if subscription.current_period_start is None and first is not None:  # a later period's event came first
        sync_first_payment(first, at)
        subscription.refresh_from_db()
    if subscription.current_period_start is None and (first is None or first.reload().state not in Payment.RECEIVED):
        raise outside.Unavailable("the first payment of this subscription is not settled yet")
    payment = renewals.record_renewal(
        gateway=gateway, subscription_id=subscription.pk, gateway_payment=gateway_payment, at=at
    )
    return _outcome(payment)


def sync_subscription(gateway: str, reference: str, at: datetime) -> Outcome:
    """A subscription that the gateway renews: past due or paid again, canceled at its period's end, or ended.

    One that charges beside another for the same sale, or that we had ended, changes nothing of ours.
    """
    found = driver_with(gateway, GatewayBilling).read_subscription(reference)
    linked, first = _linked(gateway, reference), _payment(gateway, found.payment_id)
    if linked is None and first is not None:
        sync_first_payment(first, at)
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


def sync_first_payment(payment: Payment, at: datetime) -> None:
    """Settle the payment that begins a subscription, where an event of the subscription came before its own."""
    if payment.session_id is not None:  # its session says what was paid, also where the payment is closed here
        sync_session(payment.gateway, payment.session_id, at)
    else:
        sync_payment(payment_id=payment.pk, at=at)


def end_gateway_subscription(task: GatewayCancelTask, *, at: datetime) -> None:
    """End a subscription at its gateway. The call is harmless where it has ended already."""
    row = task.gateway_subscription
    if row.ended_at is None:
        driver_with(row.gateway, GatewayBilling).cancel_subscription(row.reference)
        subscriptions.mark_gateway_ended(gateway=row.gateway, reference=row.reference, at=at)


def sync_refund(gateway: str, reference: str, at: datetime) -> Outcome:
    """A refund, made by us or at the gateway."""
    gateway_refund = driver_with(gateway, Refunds).read_refund(reference)
    payment = payment_of_transaction(gateway, gateway_refund.transaction_id, at)
    if payment is None:
        return UNRELATED
    refunds.record_refund(payment_id=payment.pk, gateway_refund=gateway_refund, at=at)
    return PROCESSED


def sync_dispute(gateway: str, reference: str, at: datetime) -> Outcome:
    """A dispute: opened, won or lost."""
    gateway_dispute = driver_with(gateway, Disputes).read_dispute(reference)
    payment = payment_of_transaction(gateway, gateway_dispute.transaction_id, at)
    if payment is None:
        return UNRELATED
    disputes.record_dispute(payment_id=payment.pk, gateway_dispute=gateway_dispute, at=at)
    return PROCESSED


SYNC: dict[ObjectType, Callable[[str, str, datetime], Outcome]] = {
    ObjectType.CHECKOUT_SESSION: sync_session,
    ObjectType.TRANSACTION: sync_transaction,
    ObjectType.INVOICE: sync_invoice,
    ObjectType.SUBSCRIPTION: sync_subscription,
    ObjectType.REFUND: sync_refund,
    ObjectType.DISPUTE: sync_dispute,
}


def payment_of_transaction(gateway: str, transaction_id: str, at: datetime) -> Payment | None:
    """The payment of a transaction, settled first if its own event has not come yet; None when it is not ours."""
    if not transaction_id:
        return None
    known = Payment.objects.filter(gateway=gateway, transaction_id=transaction_id)
    if known.exists():
        return known.get()
    transaction = driver_with(gateway, Transactions).read_transaction(transaction_id)
    payment = _payment(gateway, transaction.payment_id)
    if payment is not None and transaction.payment is not None:
        settle(payment_id=payment.pk, gateway_payment=transaction.payment, at=at)
    elif (
        payment is None and not GatewayCustomer.objects.filter(gateway=gateway, reference=transaction.customer).exists()
    ):
        return None
    if not known.exists():
        raise outside.Unavailable(f"the payment of transaction {transaction_id} is not settled yet")
    return known.get()


def _payment(gateway: str, payment_id: UUID | None) -> Payment | None:
    return Payment.objects.filter(pk=payment_id, gateway=gateway).first() if payment_id else None


def _linked(gateway: str, reference: str) -> GatewaySubscription | None:
    rows = GatewaySubscription.objects.select_related("subscription__organization")
    return rows.filter(gateway=gateway, reference=reference).first()


def _subscription(subscription_id: UUID | None) -> Subscription | None:
    """Our subscription by the id in the gateway's metadata."""
    rows = Subscription.objects.select_related("organization")
    return rows.filter(pk=subscription_id).first() if subscription_id else None


def _outcome(payment: Payment) -> Outcome:
    row = payment.reload()
    return (EventResult.UNDER_REVIEW, row.review_reason) if row.state == PaymentState.UNDER_REVIEW else PROCESSED
