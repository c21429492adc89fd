"""Making a payment agree with its checkout session and its transaction at the gateway: after an event, and by polling.

As in `billing.gateway_sync`, order, duplicates and concurrency cannot matter, because the gateway is read again.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Least

from billing import charge_sync, customers, invoicing, mismatches, payments, reviews, subscriptions
from billing.gateways.abilities import Captures, Refunds, SessionExpiry, Transactions
from billing.gateways.base import (
    CheckoutSession,
    CheckoutSessionStatus,
    Driver,
    GatewayPayment,
    ability_of,
    account_with_code,
    driver_for,
    driver_of,
)
from billing.gateways.reconciling import Reconciling
from billing.models import EventResult, GatewayAccount, GatewayCustomer, InvoiceState, Payment, PaymentState
from core import outside, tenancy, work

# How often an open payment is polled, by the time since its checkout session was requested.
POLL_INTERVALS = (
    (timedelta(minutes=2), timedelta(seconds=30)),
    (timedelta(minutes=5), timedelta(minutes=1)),
    (timedelta(minutes=15), timedelta(minutes=2)),
)
LAST_POLL_INTERVAL = timedelta(minutes=5)
OVER = frozenset({CheckoutSessionStatus.FAILED, CheckoutSessionStatus.EXPIRED})
# Of several sessions of a payment, the first of these is the one that the payment follows.
UNDECIDED = (CheckoutSessionStatus.APPROVED, CheckoutSessionStatus.OPEN)
PREFERRED = (CheckoutSessionStatus.PAID, CheckoutSessionStatus.PROCESSING, *UNDECIDED, *OVER)
POLL_LEASE = timedelta(minutes=2)  # until another poller may take over what this one did not finish

type Outcome = tuple[EventResult, str]  # how an event ended, and a note for staff
PROCESSED: Outcome = (EventResult.PROCESSED, "")
UNRELATED: Outcome = (EventResult.UNRELATED, "")


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
    if payment.payment_method_id is not None:
        charge_sync.sync_charge(payment_id=payment_id, at=at)
        return
    driver, sessions = driver_of(payment.gateway), list[CheckoutSession]()
    if payment.session_id is not None:
        sessions = [driver.read_session(payment.session_id)]
    elif payment.session_requested_at is not None:  # it may have been created although the answer was lost
        sessions = find_sessions(driver, payment)
    is_over = payment.expires_at is not None and payment.expires_at <= at
    is_ending = is_over or any(session.status in OVER for session in sessions)
    if payment.session_id is not None and is_ending and not driver.HAS_IDEMPOTENCY_KEYS:  # another may have been paid
        sessions = find_sessions(driver, payment)
    if payment.state == PaymentState.PENDING and (is_over or payment.failure):  # with a failure nobody may pay there
        if not sessions:
            payments.expire(payment_id=payment_id, at=at)
        if isinstance(driver, SessionExpiry):
            sessions = [driver.expire_session(row.reference) if row.status in UNDECIDED else row for row in sessions]
    sessions = [capture_approved(driver, payment_id, session) for session in sessions]
    for session in sessions:  # of several that were paid, the first pays and the others go under review
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


def close_payment(*, payment_id: UUID, at: datetime) -> None:
    """Close an open payment because the customer pays otherwise; one that was made meanwhile is settled.

    It stays open where the gateway does not answer. Where the gateway cannot close the session, only our payment ends:
    what is paid there nevertheless comes by a webhook, or is found an hour after the session's end, and is credit where
    the invoice is paid by then.
    """
    payment = charge_sync.read_payment(payment_id)
    if payment.payment_method_id is not None:
        charge_sync.close_charge(payment_id=payment_id, at=at)
        return
    if payment.session_requested_at is not None and not isinstance(driver_of(payment.gateway), SessionExpiry):
        sync_payment(payment_id=payment_id, at=at)
        with tenancy.as_worker():
            if payments.lock_payment(payment_id).state == PaymentState.PENDING:
                payments.expire(payment_id=payment_id, at=at)
        return
    with tenancy.as_worker():
        waiting = Payment.objects.filter(pk=payment_id, state=PaymentState.PENDING)
        waiting.update(expires_at=Least(F("expires_at"), at), poll_at=at)
    sync_payment(payment_id=payment_id, at=at)


def sync_closed_payment(*, payment_id: UUID, at: datetime) -> None:
    """Look once more for money of a payment that is no longer open: a bank may confirm late, and no webhook come.

    Also a second session may have been paid. Where the gateway lists its events, catching up with them finds both.
    """
    payment = Payment.objects.select_related("organization").get(pk=payment_id)
    driver = driver_of(payment.gateway)
    if not isinstance(driver, Reconciling):
        sessions = find_sessions(driver, payment)
        if payment.session_id not in {None, *(session.reference for session in sessions)}:
            sessions.append(driver.read_session(str(payment.session_id)))
        for session in sessions:
            if session.payment is not None:
                settle(payment_id=payment_id, gateway_payment=session.payment, at=at)
    with tenancy.as_worker():
        Payment.objects.filter(pk=payment_id).update(poll_at=None)


def find_sessions(driver: Driver, payment: Payment) -> list[CheckoutSession]:
    """The payment's sessions by our payment's id, those that were paid first."""
    customer = customers.ensure_customer(driver, organization=payment.organization, gateway=payment.gateway)
    found = driver.find_sessions(customer=customer, payment_id=payment.pk, attempts=payment.session_requests)
    return sorted(found, key=lambda session: PREFERRED.index(session.status))


def capture_approved(driver: Driver, payment_id: UUID, session: CheckoutSession) -> CheckoutSession:
    """Take the money that the customer approved, while our payment waits for it in this session.

    What was canceled here meanwhile is never taken: the approval then ends by itself.
    """
    if session.status is not CheckoutSessionStatus.APPROVED or not isinstance(driver, Captures):
        return session
    waiting = Payment.objects.filter(pk=payment_id, state=PaymentState.PENDING, failure="")
    is_this = Q(session_id=None) | Q(session_id=session.reference)
    wanted = Q(invoice=None) | Q(invoice__state__in=invoicing.UNPAID - {InvoiceState.EXPIRED})
    if not waiting.filter(is_this, wanted).exists():
        return session
    return driver.capture_session(session.reference)


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
    """Record the money, and which gateway subscription goes on charging for what it paid, in one transaction.

    Money that came a second time, also for an invoice that was paid otherwise, becomes credit where the gateway cannot
    send it back.
    """
    with tenancy.as_worker():
        payment = payments.settle(payment_id=payment_id, gateway_payment=gateway_payment, at=at)
        reference = gateway_payment.subscription_reference
        is_of_its_mode = gateway_payment.is_live is payment.is_live
        if reference and is_of_its_mode and gateway_payment.payment_id == payment_id:
            subscriptions.link_gateway_subscription(payment_id=payment_id, reference=reference, at=at)
    is_second = payment.pk != payment_id or mismatches.is_paid_otherwise(payment)
    if not is_second or payment.state != PaymentState.UNDER_REVIEW or not is_of_its_mode:
        return payment
    if isinstance(driver_of(payment.gateway), Refunds):
        return payment  # staff decide whether the second payment of one invoice is sent back
    reason = "paid a second time, and the gateway sends no money back"
    return reviews.accept_payment(payment_id=payment.pk, reason=reason, actor=payment.gateway, at=at)


def sync_session(account: GatewayAccount, reference: str, at: datetime) -> Outcome:
    """A checkout session: its payment is settled, failed, expired or waits for the bank."""
    driver = driver_for(account)
    session = driver.read_session(reference)
    payment = own_payment(account.code, session.payment_id)
    if payment is None:
        return UNRELATED
    session = capture_approved(driver, payment.pk, session)
    apply_session(payment_id=payment.pk, session=session, at=at)
    return outcome_of(payment)


def sync_transaction(account: GatewayAccount, reference: str, at: datetime) -> Outcome:
    """Money that arrived for a payment of ours, also where its session failed before: a debit can be made again.

    Of a charge of ours also that it was refused, or waits for its method's owner.
    """
    known = Payment.objects.filter(gateway=account.code, transaction_id=reference).first()
    if known is not None:
        return outcome_of(known)
    transaction = ability_of(account, Transactions).read_transaction(reference)
    payment = own_payment(account.code, transaction.payment_id)
    if payment is not None and payment.payment_method_id is not None and payment.state in Payment.OPEN:
        charge_sync.sync_charge(payment_id=payment.pk, at=at)
        return outcome_of(payment)
    if payment is None or transaction.payment is None:
        return EventResult.IGNORED, "it names no payment of ours: its invoice is followed, or its balance transaction"
    return outcome_of(settle(payment_id=payment.pk, gateway_payment=transaction.payment, at=at))


def sync_first_payment(payment: Payment, at: datetime) -> None:
    """Settle the payment that begins a subscription, where an event of the subscription came before its own."""
    if payment.session_id is not None:  # its session says what was paid, also where the payment is closed here
        sync_session(account_with_code(payment.gateway), payment.session_id, at)
    else:
        sync_payment(payment_id=payment.pk, at=at)


def payment_of_transaction(account: GatewayAccount, transaction_id: str, at: datetime) -> Payment | None:
    """The payment of a transaction, settled first if its own event has not come yet; None when it is not ours."""
    if not transaction_id:
        return None
    gateway, known = account.code, Payment.objects.filter(gateway=account.code, transaction_id=transaction_id)
    if known.exists():
        return known.get()
    transaction = ability_of(account, Transactions).read_transaction(transaction_id)
    payment = own_payment(gateway, transaction.payment_id)
    if payment is not None and transaction.payment is not None:
        settle(payment_id=payment.pk, gateway_payment=transaction.payment, at=at)
    elif (
        payment is None and not GatewayCustomer.objects.filter(gateway=gateway, reference=transaction.customer).exists()
    ):
        return None
    if not known.exists():
        raise outside.Unavailable(f"the payment of transaction {transaction_id} is not settled yet")
    return known.get()


def own_payment(gateway: str, payment_id: UUID | None) -> Payment | None:
    """Our payment by the id in the gateway's metadata."""
    return Payment.objects.filter(pk=payment_id, gateway=gateway).first() if payment_id else None


def outcome_of(payment: Payment) -> Outcome:
    row = payment.reload()
    return (EventResult.UNDER_REVIEW, row.review_reason) if row.state == PaymentState.UNDER_REVIEW else PROCESSED
