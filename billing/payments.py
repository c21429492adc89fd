"""Payments: opened before the gateway is called, and settled once, by the event or the poll that comes first.

What arrived is kept whatever else fails: it is credit in the wallet, or under review until the invoice can be paid.

A webhook, its duplicate and the poller may all bring the same gateway payment at once: the row lock lets the first one
settle, and the others find it done.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

from django.db.models import F, Q

from accounts.models import Organization
from billing import events, gateway_accounts, invoicing, ledger, mismatches, payment_methods, subscriptions
from billing.gateways.base import CheckoutSession, GatewayPayment
from billing.models import (
    PERIOD_KINDS,
    AccountKind,
    EntryKind,
    Invoice,
    LedgerAccount,
    Payment,
    PaymentAllocation,
    PaymentState,
    PaymentTask,
    Period,
    RefundState,
)
from core import audit, bulk, tenancy, work
from core.ids import uuid7
from core.outside import Rejected

log = logging.getLogger(__name__)
# What is written of a payment when its money arrives.
RECEIVED_FIELDS = (
    *("state", "transaction_id", "method_label", "received_minor", "received_currency", "period_start", "period_end"),
    *("settled_at", "poll_at", "failure", "failure_code", "session_url", "review_reason", "card_fingerprint"),
)
FIRST_POLL = timedelta(seconds=30)
PROCESSING_POLL = timedelta(hours=1)  # bank debits take days


def lock_payment(payment_id: UUID) -> Payment:
    """The payment under its row lock, after its invoices and before their subscriptions; the caller has a transaction.

    Its invoices are the one that it was asked for and those that it paid. See the lock order in ARCHITECTURE.md.
    """
    return lock_payments([payment_id])[0]


def lock_payments(payment_ids: Collection[UUID]) -> list[Payment]:
    """Several payments under their row locks as `lock_payment` takes them, in the order of their ids."""
    asked_for = Payment.objects.filter(pk__in=payment_ids, invoice__isnull=False).order_by().values("invoice_id")
    paid = PaymentAllocation.objects.filter(payment__in=payment_ids).values("invoice_id")
    invoices = Invoice.objects.filter(pk__in=asked_for.union(paid)).order_by("pk")
    locked = list(invoices.select_for_update(no_key=True).values_list("pk", flat=True))
    rows = Payment.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=payment_ids).order_by("pk")
    payments = list(rows.select_related("organization", "invoice__organization", "invoice__series"))
    subscriptions.lock_subscriptions_of(locked)
    return payments


def open_payment(
    *,
    invoice: Invoice,
    gateway: str,
    expires_at: datetime,
    is_live: bool | None = None,
    at: datetime,
) -> Payment:
    """The invoice's open payment, created if needed. ValueError when there is nothing to pay, or it `is_withdrawn`.

    `is_live` is the account's mode, from those who hold locks: finding it out may read the account's keys. Raises
    invoicing.MoneyUnderWay where a payment for it is under review.
    """
    with tenancy.as_worker():
        if is_live is None:
            is_live = gateway_accounts.mode_of(gateway)
        row = invoicing.lock_invoice(invoice.pk)
        if is_withdrawn(row):
            raise ValueError(f"invoice {row} is being withdrawn")
        current = row.payments.filter(state__in=Payment.OPEN).first()
        if current is not None:
            return current
        if row.state not in invoicing.UNPAID:
            raise ValueError(f"invoice {row} does not wait for money")
        if invoicing.has_money_under_way(row):
            raise invoicing.MoneyUnderWay(f"a payment for invoice {row.pk} is under review")
        payment_id = uuid7()
        return Payment.objects.create(
            id=payment_id,
            organization_id=row.organization_id,
            invoice=row,
            gateway=gateway,
            is_live=is_live,
            amount_minor=row.total_minor,
            currency=row.currency,
            idempotency_key=f"payment-{payment_id}",
            expires_at=expires_at.replace(microsecond=0),
            poll_at=expires_at,
            created_at=at,
        )


def is_withdrawn(invoice: Invoice) -> bool:
    """Whether it bills a later period of a subscription that was canceled or pauses meanwhile.

    `renew` withdraws it as soon as nothing is open for it, so nobody begins to pay it any more.
    """
    later = invoice.items.filter(kind__in=PERIOD_KINDS, period_end__gt=F("subscription__current_period_end"))
    is_canceled = Q(subscription__cancels_at_period_end=True) | Q(subscription__status__in=subscriptions.OVER)
    stops = is_canceled | Q(subscription__pauses_until__isnull=False)
    return invoice.due_at is not None and later.filter(stops).exists()


def store_session(*, payment_id: UUID, session: CheckoutSession) -> Payment:
    """Store the session that was created for an open payment; a stored one stays. The payment as it then is.

    A session that asks for something else is stored without its address, and with the reason in `failure`: nobody is
    sent there, and it is expired.
    """
    with tenancy.as_worker():
        payment = lock_payment(payment_id)
        if payment.session_id is not None or payment.state not in Payment.OPEN:
            return payment
        reason = mismatches.session_reason(payment, session) if session.url else ""
        payment.session_id, payment.failure = session.reference, reason[:191]
        payment.session_url = "" if reason else session.url
        payment.save(update_fields=["session_id", "session_url", "failure"])
    if reason:
        log.error("payment %s, session %s of %s: %s", payment.pk, session.reference, payment.gateway, reason)
    return payment


def settle(*, payment_id: UUID, gateway_payment: GatewayPayment, at: datetime) -> Payment:
    """Record that the money arrived, pay the invoice with it and begin what it is for, all in one transaction.

    The same transaction again changes nothing. Money that is not exactly what was asked for, or that comes a second
    time, goes under review and pays nothing. Where paying fails, the money goes under review until it succeeds.
    """
    with tenancy.as_worker():
        payment = lock_payment(payment_id)
        known = Payment.objects.filter(gateway=payment.gateway, transaction_id=gateway_payment.transaction_id).first()
        if known is not None:
            return known
        if payment.state in Payment.RECEIVED:
            return record_unexpected_payment(
                organization=payment.organization,
                invoice=payment.invoice,
                gateway=payment.gateway,
                is_live=payment.is_live,
                gateway_payment=gateway_payment,
                reason=f"a second transaction for payment {payment.pk}",
                at=at,
            )
        is_late = payment.state not in Payment.OPEN  # such as a debit that had failed: another payment may be open
        reason = mismatches.payment_reason(payment, gateway_payment)
        if reason:
            receive_under_review(payment, gateway_payment, reason, at)
            return payment
        try:
            with tenancy.as_worker():
                receive_expected(payment, gateway_payment, at)
                if is_late and payment.invoice is not None:
                    invoicing.expire_open_payments(invoice=payment.invoice, at=at)
        except Exception as error:  # the money arrived whatever failed: it is put under review, and paying is repeated
            log.exception("payment %s arrived and could not pay its invoice", payment.pk)
            receive_under_review(payment, gateway_payment, f"paying the invoice failed: {work.describe(error)}", at)
            PaymentTask.objects.create(payment=payment, run_at=at)
            work.wake_worker(PaymentTask)
    return payment


def settle_expected(gateway_payments: Mapping[UUID, GatewayPayment], *, at: datetime) -> list[UUID]:
    """Settle, in one transaction, those of several payments that arrived exactly as asked for; their ids.

    `gateway_payments` is by our payments' ids. All of them are settled or none: what fails is raised. Those left out
    are for `settle` to judge, one by one.
    """
    arrivals: list[tuple[Payment, GatewayPayment]] = []
    with tenancy.as_worker():
        locked = lock_payments(gateway_payments)
        references = {arrived.transaction_id for arrived in gateway_payments.values()}
        known = Payment.objects.filter(transaction_id__in=references)
        transactions = set(known.values_list("gateway", "transaction_id"))
        invoices: set[UUID] = set()  # each is paid once, and each transaction pays once
        for payment in locked:
            arrived, invoice = gateway_payments[payment.pk], payment.invoice
            if payment.state not in Payment.OPEN or invoice is None or payment.amount != invoice.total:
                continue
            transaction = (payment.gateway, arrived.transaction_id)
            if transaction in transactions or invoice.pk in invoices or mismatches.payment_reason(payment, arrived):
                continue
            arrivals.append((payment, arrived))
            transactions.add(transaction)
            invoices.add(invoice.pk)
        if arrivals:
            settled = [payment for payment, _arrived in arrivals]
            receive(arrivals, PaymentState.SUCCEEDED, at)
            invoicing.pay_charges([charge_of(payment) for payment in settled], at=at)
            for payment in ledger.with_receivable(settled):
                ledger.pay_receivable(payment, at=at)
    return [payment.pk for payment, _arrived in arrivals]


def receive_expected(payment: Payment, gateway_payment: GatewayPayment, at: datetime) -> None:
    """Store money that arrived exactly as a locked payment asked for it, and pay with it. What fails is raised."""
    receive([(payment, gateway_payment)], PaymentState.SUCCEEDED, at)
    pay_invoice_and_debt(payment, at)


def receive(arrivals: Sequence[tuple[Payment, GatewayPayment]], state: PaymentState, at: datetime) -> None:
    """Store what arrived and post it: to the wallets, or to suspense where it goes under review."""
    for payment, arrived in arrivals:
        payment.transaction_id, payment.method_label = arrived.transaction_id, arrived.method_label
        payment.received_minor, payment.received_currency = arrived.amount.minor, arrived.amount.currency
        if arrived.period is not None:
            payment.period_start, payment.period_end = arrived.period.start, arrived.period.end
        payment.state, payment.settled_at, payment.failure, payment.session_url = state, at, "", ""
        payment.failure_code, payment.card_fingerprint = "", arrived.card_fingerprint
        payment.poll_at = payment.last_poll(at) if payment.session_requests > 1 else None
        ledger.release_credit(payment, at=at)  # so that the wallet has all that pays the invoice
    received = [payment for payment, _arrived in arrivals]
    bulk.update_rows(received, RECEIVED_FIELDS)
    is_under_review = state == PaymentState.UNDER_REVIEW
    owners = {(payment.organization_id, payment.received_currency) for payment in received}
    wallets = {} if is_under_review else ledger.lock_wallets(owners)
    ledger.post_entries(arrival_entries(arrivals, wallets), at=at)
    for payment, arrived in sorted(arrivals, key=lambda arrival: arrival[0].organization_id):
        if arrived.card is not None and not is_under_review:
            payment_methods.save_method(
                organization=payment.organization,
                gateway=payment.gateway,
                is_live=payment.is_live,
                card=arrived.card,
            )


def arrival_entries(
    arrivals: Sequence[tuple[Payment, GatewayPayment]], wallets: Mapping[tuple[UUID, str], LedgerAccount]
) -> list[ledger.NewEntry]:
    """The entries of what arrived, and of what the gateway kept of it: to its wallet, without one to suspense."""
    account_of, entries = cache(ledger.account_of), []
    for payment, arrived in arrivals:
        code = payment.received_currency
        wallet = wallets.get((payment.organization_id, code))
        clearing = account_of(AccountKind.CLEARING, code, payment.gateway)
        if payment.received:
            entry = ledger.NewEntry(
                kind=EntryKind.UNDER_REVIEW if wallet is None else EntryKind.PAYMENT,
                reference=f"payment:{payment.gateway}:{payment.transaction_id}",
                lines=ledger.transfer(clearing, wallet or account_of(AccountKind.SUSPENSE, code), payment.received),
                organization=payment.organization,
                source=payment,
                note=payment.review_reason,
            )
            entries.append(entry)
        if payment.received and arrived.fee:
            fees = account_of(AccountKind.GATEWAY_FEES, code, payment.gateway)
            fee = ledger.NewEntry(
                kind=EntryKind.GATEWAY_FEE,
                reference=f"fee:{payment.gateway}:{payment.transaction_id}",
                lines=ledger.transfer(fees, clearing, arrived.fee),
                organization=payment.organization,
                source=payment,
            )
            entries.append(fee)
    return entries


def receive_under_review(payment: Payment, gateway_payment: GatewayPayment, reason: str, at: datetime) -> None:
    """Store what arrived and leave it to staff, who see why. What else could pay the invoice is closed soon."""
    payment.review_reason = reason[:191]
    receive([(payment, gateway_payment)], PaymentState.UNDER_REVIEW, at)
    ledger.pay_receivable(payment, at=at)  # with credit that was reserved for it
    if payment.invoice is not None:
        invoicing.expire_open_payments(invoice=payment.invoice, at=at)
    audit.record(action="payment.review", entity=payment, actor=payment.gateway, new={"reason": reason}, at=at)


def pay_invoice_and_debt(payment: Payment, at: datetime) -> None:
    """Pay the invoice that the money was asked for; what it leaves in the wallet pays what the organization owes.

    The payment is locked with its invoice.
    """
    if payment.invoice is not None and payment.invoice.state in invoicing.UNPAID:
        try:
            invoicing.pay_charges([charge_of(payment)], at=at)
        except invoicing.InsufficientBalance:  # the credit that was to pay with it is spent: it stays in the wallet
            events.payments_credited.send(Payment, payment_ids=[payment.pk], at=at)
    ledger.pay_receivable(payment, at=at)
    if payment.is_automatic_top_up:
        events.wallets_topped_up.send(Payment, payment_ids=[payment.pk], at=at)


def charge_of(payment: Payment) -> invoicing.Charge:
    """The charge of the invoice that the payment was asked for. ValueError where it was asked for none."""
    if payment.invoice is None:
        raise ValueError(f"payment {payment.pk} is for no invoice")
    start, end = payment.period_start, payment.period_end
    return invoicing.Charge(payment.invoice, payment, Period(start, end) if start and end else None)


def record_unexpected_payment(
    *,
    organization: Organization,
    gateway: str,
    is_live: bool,
    gateway_payment: GatewayPayment,
    reason: str,
    invoice: Invoice | None = None,
    at: datetime,
) -> Payment:
    """Record money that nobody asked for, under review. The same transaction of the gateway again changes nothing.

    `is_live`: real money, as the gateway account's mode says. Raises Rejected where nothing arrived at all, which staff
    then see at the event.
    """
    if not gateway_payment.amount:
        raise Rejected(f"{reason}; nothing was paid, so there is nothing to review")
    with tenancy.as_worker():
        fields = {
            "organization": organization,
            # Money in another currency than the invoice's cannot be for it.
            "invoice": invoice if invoice and invoice.currency == gateway_payment.amount.currency else None,
            "is_live": is_live,
            "state": PaymentState.FAILED,  # not open; it goes under review in the same transaction
            "amount_minor": gateway_payment.amount.minor,
            "currency": gateway_payment.amount.currency,
            "idempotency_key": f"unexpected:{gateway}:{gateway_payment.transaction_id}",
            "created_at": at,
        }
        payment, is_new = Payment.objects.get_or_create(
            gateway=gateway, transaction_id=gateway_payment.transaction_id, defaults=fields
        )
        if is_new:
            receive_under_review(payment, gateway_payment, reason, at)
    return payment


def received_state(payment: Payment) -> PaymentState:
    """The state of received money by its refunds and disputes; a dispute that took all the rest remains one."""
    if payment.disputes.filter(closed_at=None).exists():
        return PaymentState.DISPUTED
    if payment.refundable or payment.refunds.filter(state=RefundState.PENDING).exists():
        return PaymentState.UNDER_REVIEW if payment.is_under_review else PaymentState.SUCCEEDED
    return PaymentState.DISPUTED if payment.lost_minor else PaymentState.REFUNDED


def mark_processing(*, payment_id: UUID, at: datetime) -> None:
    """The customer has paid and the bank takes days. A payment that is not pending stays as it is."""
    with tenancy.as_worker():
        pending = Payment.objects.filter(pk=payment_id, state=PaymentState.PENDING)
        pending.update(state=PaymentState.PROCESSING, poll_at=at + PROCESSING_POLL)


def fail(*, payment_id: UUID, reason: str, at: datetime) -> bool:
    """The payment was refused; False when it is not open."""
    with tenancy.as_worker():
        return _close(payment_id, PaymentState.FAILED, reason, at=at) is not None


def expire(*, payment_id: UUID, at: datetime) -> bool:
    """The time to pay is over; False when the payment is not open."""
    with tenancy.as_worker():
        payment = _close(payment_id, PaymentState.EXPIRED, at=at)
        if payment is not None:
            events.payments_expired.send(Payment, payment_ids=[payment.pk], at=at)
    return payment is not None


def _close(payment_id: UUID, state: PaymentState, failure: str = "", *, at: datetime) -> Payment | None:
    payment = lock_payment(payment_id)
    if payment.state not in Payment.OPEN:
        return None
    payment.state, payment.failure, payment.session_url = state, failure[:191], ""
    payment.poll_at = payment.last_poll(at) if payment.session_requested_at else None
    payment.save(update_fields=["state", "failure", "poll_at", "session_url"])
    if payment.credit_minor and payment.invoice is not None:
        ledger.release_credit(payment, at=at)
        # Money that came late for the invoice pays it with this credit. Otherwise the credit pays what is owed.
        unused = payment.invoice.payments.filter(state=PaymentState.SUCCEEDED, allocations=None).order_by("pk")
        late = unused.filter(received_currency=payment.currency)
        if enough := [row.pk for row in late if row.refundable.minor >= payment.amount_minor]:
            pay_invoice_and_debt(lock_payment(enough[0]), at)
        else:
            ledger.pay_receivable(payment, at=at)
    return payment
