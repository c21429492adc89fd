"""Payments: opened before the gateway is called, and settled once by whoever learns of the money first.

A webhook, its duplicate and the poller may all bring the same gateway payment at once: the row lock lets the first one
settle, and the others find it done.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from accounts.models import Organization
from billing import events, invoicing, ledger
from billing.gateways.base import CheckoutSession, GatewayPayment, SavedCard, driver_of
from billing.models import (
    AccountKind,
    BillingMode,
    EntryKind,
    Gateway,
    Invoice,
    LedgerAccount,
    Payment,
    PaymentMethod,
    PaymentState,
    Subscription,
)
from core import audit, tenancy
from core.ids import uuid7
from core.outside import Rejected

PROCESSING_POLL = timedelta(hours=1)  # bank debits take days


def lock_payment(payment_id: UUID) -> Payment:
    """The payment under its row lock, after its invoice's (see `lock_invoice`); the caller holds a transaction."""
    invoice_id = Payment.objects.values_list("invoice_id", flat=True).get(pk=payment_id)
    if invoice_id is not None:
        invoicing.lock_invoice(invoice_id)
    rows = Payment.objects.select_for_update(no_key=True, of=("self",)).select_related("organization", "invoice")
    return rows.get(pk=payment_id)


def open_payment(
    *,
    invoice: Invoice,
    gateway: Gateway,
    billing_mode: BillingMode = BillingMode.SELF,
    expires_at: datetime,
    at: datetime,
) -> Payment:
    """The invoice's open payment, created if needed. ValueError when there is nothing to pay."""
    with tenancy.as_worker():
        row = invoicing.lock_invoice(invoice.pk)
        current = row.payments.filter(state__in=Payment.OPEN).first()
        if current is not None:
            return current
        if row.state not in invoicing.UNPAID:
            raise ValueError(f"invoice {row} does not wait for money")
        payment_id = uuid7()
        return Payment.objects.create(
            id=payment_id,
            organization_id=row.organization_id,
            invoice=row,
            gateway=gateway,
            billing_mode=billing_mode,
            amount_minor=row.total_minor,
            currency=row.currency,
            idempotency_key=f"payment-{payment_id}",
            expires_at=expires_at.replace(microsecond=0),
            poll_at=expires_at,
            created_at=at,
        )


def store_session(*, payment_id: UUID, session: CheckoutSession) -> bool:
    """Store the session that was created for a payment; a stored one stays. False for a payment that is not open."""
    with tenancy.as_worker():
        payment = lock_payment(payment_id)
        is_open = payment.state in Payment.OPEN
        if payment.session_id is None and is_open:
            payment.session_id, payment.session_url = session.reference, session.url
            payment.save(update_fields=["session_id", "session_url"])
    return is_open


def settle(*, payment_id: UUID, gateway_payment: GatewayPayment, at: datetime) -> Payment:
    """Record that the money arrived, pay the invoice with it and begin what it is for, all in one transaction.

    The same transaction again changes nothing. Money that is not exactly what was asked for, or that comes a second
    time, goes under review and pays nothing.
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
                gateway=Gateway(payment.gateway),
                gateway_payment=gateway_payment,
                reason=f"a second transaction for payment {payment.pk}",
                at=at,
            )
        _set_received(payment, gateway_payment, at)
        link_subscription(payment, gateway_payment)
        reason = mismatch_reason(payment, gateway_payment)
        if reason:
            _put_under_review(payment, reason, at)
            return payment
        payment.state = PaymentState.SUCCEEDED
        payment.save()
        wallet = ledger.wallet_of(payment.organization, gateway_payment.amount.currency)
        _post_received(payment, EntryKind.PAYMENT, wallet, at)
        if gateway_payment.card is not None:
            save_payment_method(payment, gateway_payment.card)
        if payment.invoice is not None:
            invoicing.pay_from_wallet(invoice=payment.invoice, first_period=gateway_payment.period, at=at)
    return payment


def mismatch_reason(payment: Payment, gateway_payment: GatewayPayment) -> str:
    """Why this money may not pay this payment's invoice; empty when it may."""
    if gateway_payment.payment_id != payment.pk or gateway_payment.organization_id != payment.organization_id:
        return "the gateway names another payment or organization"
    if gateway_payment.is_live != driver_of(payment.gateway).is_live():
        return "test money, or live money in test mode"
    if gateway_payment.amount.currency != payment.currency:
        return f"asked for {payment.currency}, got {gateway_payment.amount.currency}"
    if gateway_payment.amount.minor != payment.amount_minor:
        got = gateway_payment.amount.minor
        return f"asked for {payment.amount_minor}, got {got} minor units of {payment.currency}"
    if payment.invoice is not None and payment.invoice.state not in invoicing.UNPAID:
        return f"the invoice is {payment.invoice.state} already"
    return ""


def link_subscription(payment: Payment, gateway_payment: GatewayPayment) -> None:
    """Store which subscription of the gateway renews the one that this payment begins."""
    reference = gateway_payment.subscription_reference
    if reference and gateway_payment.payment_id == payment.pk and payment.invoice_id is not None:
        rows = Subscription.objects.filter(
            invoice_items__invoice=payment.invoice_id, stripe_subscription_id__isnull=True
        )
        ids = set(rows.values_list("pk", flat=True))
        Subscription.objects.filter(pk__in=ids).update(stripe_subscription_id=reference)


def save_payment_method(payment: Payment, card: SavedCard) -> None:
    """Keep the card that the gateway saved; the organization's first one becomes its default."""
    has_default = PaymentMethod.objects.filter(organization=payment.organization, is_default=True).exists()
    PaymentMethod.objects.get_or_create(
        gateway=payment.gateway,
        reference=card.reference,
        defaults={
            "organization": payment.organization,
            "brand": card.brand,
            "last4": card.last4,
            "expires_on": card.expires_on,
            "is_default": not has_default,
        },
    )


def record_unexpected_payment(
    *,
    organization: Organization,
    gateway: Gateway,
    gateway_payment: GatewayPayment,
    reason: str,
    invoice: Invoice | None = None,
    at: datetime,
) -> Payment:
    """Record money that nobody asked for, under review. The same transaction again changes nothing.

    Rejected where nothing arrived at all, which staff then see at the event.
    """
    if not gateway_payment.amount:
        raise Rejected(f"{reason}; nothing was paid, so there is nothing to review")
    with tenancy.as_worker():
        fields = {
            "organization": organization,
            # Money in another currency than the invoice's cannot be for it.
            "invoice": invoice if invoice and invoice.currency == gateway_payment.amount.currency else None,
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
            _set_received(payment, gateway_payment, at)
            _put_under_review(payment, reason, at)
    return payment


def accept_payment(*, payment_id: UUID, reason: str = "", actor: object, at: datetime) -> Payment:
    """Credit money under review to the customer's wallet, and pay the invoice from it if it suffices.

    A payment that is not under review is left as it is.
    """
    with tenancy.as_worker():
        payment = lock_payment(payment_id)
        if payment.state != PaymentState.UNDER_REVIEW:
            return payment
        payment.state, payment.accepted_at = PaymentState.SUCCEEDED, at
        payment.save()
        suspense = ledger.account_of(AccountKind.SUSPENSE, payment.received.currency)
        wallet = ledger.wallet_of(payment.organization, payment.received.currency)
        ledger.post_entry(
            kind=EntryKind.REVIEW_ACCEPTED,
            reference=f"review_accepted:{payment.pk}",
            lines=ledger.transfer(suspense, wallet, payment.refundable),
            organization=payment.organization,
            source=payment,
            at=at,
        )
        audit.record(
            action="payment.accept_payment",
            entity=payment,
            actor=actor,
            old={"review_reason": payment.review_reason},
            new={"reason": reason},
        )
        if payment.invoice is not None:
            with suppress(invoicing.InsufficientBalance):  # then it stays in the wallet as credit
                invoicing.pay_from_wallet(invoice=payment.invoice, at=at)
    return payment


def _set_received(payment: Payment, gateway_payment: GatewayPayment, at: datetime) -> None:
    """What arrived, not saved yet."""
    payment.transaction_id, payment.method_label = gateway_payment.transaction_id, gateway_payment.method_label
    payment.received_minor = gateway_payment.amount.minor
    payment.received_currency = gateway_payment.amount.currency
    payment.settled_at, payment.poll_at, payment.failure, payment.session_url = at, None, "", ""


def _put_under_review(payment: Payment, reason: str, at: datetime) -> None:
    payment.state, payment.review_reason = PaymentState.UNDER_REVIEW, reason[:191]
    payment.save()
    suspense = ledger.account_of(AccountKind.SUSPENSE, payment.received.currency)
    _post_received(payment, EntryKind.UNDER_REVIEW, suspense, at)
    audit.record(action="payment.review", entity=payment, actor=payment.gateway, new={"reason": reason})


def _post_received(payment: Payment, kind: EntryKind, target: LedgerAccount, at: datetime) -> None:
    if not payment.received:
        return
    clearing = ledger.account_of(AccountKind.CLEARING, payment.received.currency, payment.gateway)
    ledger.post_entry(
        kind=kind,
        reference=f"payment:{payment.gateway}:{payment.transaction_id}",
        lines=ledger.transfer(clearing, target, payment.received),
        organization=payment.organization,
        source=payment,
        at=at,
        note=payment.review_reason,
    )


def mark_processing(*, payment_id: UUID, at: datetime) -> None:
    """The customer has paid and the bank takes days. A payment that is not pending stays as it is."""
    with tenancy.as_worker():
        pending = Payment.objects.filter(pk=payment_id, state=PaymentState.PENDING)
        pending.update(state=PaymentState.PROCESSING, poll_at=at + PROCESSING_POLL)


def fail(*, payment_id: UUID, reason: str) -> bool:
    """The payment was refused; False when it is not open."""
    with tenancy.as_worker():
        return _close(payment_id, PaymentState.FAILED, reason) is not None


def expire(*, payment_id: UUID, at: datetime) -> bool:
    """The time to pay is over; False when the payment is not open."""
    with tenancy.as_worker():
        payment = _close(payment_id, PaymentState.EXPIRED)
        if payment is not None:
            events.payment_expired.send(Payment, payment=payment, at=at)
    return payment is not None


def _close(payment_id: UUID, state: PaymentState, failure: str = "") -> Payment | None:
    payment = lock_payment(payment_id)
    if payment.state not in Payment.OPEN:
        return None
    payment.state, payment.failure, payment.poll_at, payment.session_url = state, failure[:191], None, ""
    payment.save(update_fields=["state", "failure", "poll_at", "session_url"])
    return payment
