"""Payments: opened before the gateway is asked, settled once by whoever hears of the money first.

A webhook, its duplicate and the poller may all bring the same receipt at once: the row's lock lets the first one settle
and shows the others that it is done.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.dispatch import Signal

from accounts.models import Organization
from billing import events, invoicing, ledger
from billing.gateways import driver_of
from billing.gateways.base import GatewayPayment, SavedCard
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
from billing.refunds import NotRefundable, refund_payment
from billing.rows import locked_payment
from core import audit, tenancy
from core.ids import uuid7
from core.outside import Rejected

__all__ = [
    "NotRefundable",
    "accept_payment",
    "expire",
    "fail",
    "mark_clearing",
    "open_payment",
    "record_unexpected_payment",
    "refund_payment",
    "settle",
]
CLEARING_POLL = timedelta(hours=1)  # bank debits take days


def open_payment(
    *,
    invoice: Invoice,
    gateway: Gateway,
    billing_mode: BillingMode = BillingMode.SELF,
    expires_at: datetime,
    at: datetime,
) -> Payment:
    """The invoice's open payment, made where there is none. ValueError when there is nothing to pay."""
    with tenancy.as_worker():
        row = invoicing.locked(invoice.pk)
        current = row.payments.filter(state__in=Payment.OPEN).first()
        if current is not None:
            return current
        if row.state not in invoicing.UNPAID:
            raise ValueError(f"invoice {row} does not wait for money")
        identity = uuid7()
        return Payment.objects.create(
            id=identity,
            organization_id=row.organization_id,
            invoice=row,
            gateway=gateway,
            billing_mode=billing_mode,
            amount_minor=row.total_minor,
            currency=row.currency,
            idempotency_key=f"payment-{identity}",
            expires_at=expires_at.replace(microsecond=0),
            poll_at=expires_at,
            created_at=at,
        )


def settle(*, payment_id: UUID, receipt: GatewayPayment, at: datetime) -> Payment:
    """Record that the money arrived, pay the invoice with it and begin what it is for, all in one transaction.

    The same receipt again changes nothing. Money that is not exactly what was asked for, or comes a second time, is
    held for staff and pays nothing.
    """
    with tenancy.as_worker():
        payment = locked_payment(payment_id)
        known = Payment.objects.filter(gateway=payment.gateway, transaction_id=receipt.transaction_id).first()
        if known is not None:
            return known
        if payment.state in Payment.RECEIVED:
            return _hold_second(payment, receipt, at)
        _write_receipt(payment, receipt, at)
        _link_subscription(payment, receipt)
        objection = _objection(payment, receipt)
        if objection:
            _hold(payment, objection, at)
        else:
            _succeed(payment, receipt, at)
    return payment


def _write_receipt(payment: Payment, receipt: GatewayPayment, at: datetime) -> None:
    payment.transaction_id, payment.method_label = receipt.transaction_id, receipt.method_label
    payment.received_minor, payment.received_currency = receipt.amount.minor, receipt.amount.currency
    payment.settled_at, payment.poll_at, payment.failure, payment.session_url = at, None, "", ""


def _objection(payment: Payment, receipt: GatewayPayment) -> str:
    """Why this money may not pay this payment's invoice; empty when it may."""
    if receipt.payment_id != payment.pk or receipt.organization_id != payment.organization_id:
        return "the gateway names another payment or organization"
    if receipt.is_live != driver_of(payment.gateway).is_live():
        return "test money, or live money in test mode"
    if receipt.amount.currency != payment.currency:
        return f"asked for {payment.currency}, got {receipt.amount.currency}"
    if receipt.amount.minor != payment.amount_minor:
        return f"asked for {payment.amount_minor}, got {receipt.amount.minor} minor units of {payment.currency}"
    if payment.invoice is not None and payment.invoice.state not in invoicing.UNPAID:
        return f"the invoice is {payment.invoice.state} already"
    return ""


def _succeed(payment: Payment, receipt: GatewayPayment, at: datetime) -> None:
    payment.state = PaymentState.SUCCEEDED
    payment.save()
    wallet = ledger.wallet_of(payment.organization, receipt.amount.currency)
    _enter_arrival(payment, EntryKind.PAYMENT, wallet, at)
    _keep_card(payment, receipt.card)
    if payment.invoice is not None:
        invoicing.pay_from_wallet(invoice=payment.invoice, first_period=receipt.period, at=at)


def _hold(payment: Payment, reason: str, at: datetime) -> None:
    payment.state, payment.review_reason = PaymentState.UNDER_REVIEW, reason[:191]
    payment.save()
    held = ledger.account_of(AccountKind.UNDER_REVIEW, payment.received.currency)
    _enter_arrival(payment, EntryKind.UNDER_REVIEW, held, at)
    audit.record(action="payment.hold", entity=payment, actor=payment.gateway, new={"reason": reason})
    events.payment_under_review.send(Payment, payment=payment, at=at)


def _enter_arrival(payment: Payment, kind: EntryKind, target: LedgerAccount, at: datetime) -> None:
    if not payment.received:
        return
    clearing = ledger.account_of(AccountKind.CLEARING, payment.received.currency, payment.gateway)
    ledger.enter(
        kind=kind,
        reference=f"payment:{payment.gateway}:{payment.transaction_id}",
        lines=ledger.transfer(clearing, target, payment.received),
        organization=payment.organization,
        at=at,
        note=payment.review_reason,
    )


def _hold_second(payment: Payment, receipt: GatewayPayment, at: datetime) -> Payment:
    return record_unexpected_payment(
        organization=payment.organization,
        invoice=payment.invoice,
        gateway=Gateway(payment.gateway),
        receipt=receipt,
        reason=f"a second transaction for payment {payment.pk}",
        at=at,
    )


def record_unexpected_payment(
    *,
    organization: Organization,
    gateway: Gateway,
    receipt: GatewayPayment,
    reason: str,
    invoice: Invoice | None = None,
    at: datetime,
) -> Payment:
    """Write down money that nobody asked for, held for staff. The same transaction again changes nothing.

    Rejected where nothing arrived at all, which staff then see at the event.
    """
    if not receipt.amount:
        raise Rejected(f"{reason}; nothing was paid, so nothing can be held")
    with tenancy.as_worker():
        fields = {
            "organization": organization,
            "invoice": invoice,
            "state": PaymentState.FAILED,  # not open; `_hold` moves it on in the same transaction
            "amount_minor": receipt.amount.minor,
            "currency": receipt.amount.currency,
            "idempotency_key": f"unasked:{gateway}:{receipt.transaction_id}",
            "created_at": at,
        }
        payment, is_new = Payment.objects.get_or_create(
            gateway=gateway, transaction_id=receipt.transaction_id, defaults=fields
        )
        if is_new:
            _write_receipt(payment, receipt, at)
            _hold(payment, reason, at)
    return payment


def _keep_card(payment: Payment, card: SavedCard | None) -> None:
    if card is None:
        return
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


def _link_subscription(payment: Payment, receipt: GatewayPayment) -> None:
    """Remember which subscription of the gateway's collects the later periods."""
    is_its_own = receipt.payment_id == payment.pk and payment.invoice_id is not None
    if receipt.subscription_reference and is_its_own:
        rows = Subscription.objects.filter(
            invoice_items__invoice=payment.invoice_id, stripe_subscription_id__isnull=True
        )
        ids = set(rows.values_list("pk", flat=True))
        Subscription.objects.filter(pk__in=ids).update(stripe_subscription_id=receipt.subscription_reference)


def accept_payment(*, payment_id: UUID, reason: str = "", actor: object, at: datetime) -> Payment:
    """Take held money as the customer's: it goes to the wallet, and pays the invoice if it suffices.

    Money that is not held (any more) is left as it is.
    """
    with tenancy.as_worker():
        payment = locked_payment(payment_id)
        if payment.state != PaymentState.UNDER_REVIEW:
            return payment
        payment.state, payment.accepted_at = PaymentState.SUCCEEDED, at
        payment.save()
        held = ledger.account_of(AccountKind.UNDER_REVIEW, payment.received.currency)
        wallet = ledger.wallet_of(payment.organization, payment.received.currency)
        ledger.enter(
            kind=EntryKind.RELEASE,
            reference=f"release:{payment.pk}",
            lines=ledger.transfer(held, wallet, payment.refundable),
            organization=payment.organization,
            at=at,
        )
        audit.record(
            action="payment.accept_payment",
            entity=payment,
            actor=actor,
            old={"review_reason": payment.review_reason},
            new={"reason": reason},
        )
        _pay_if_enough(payment, at)
    return payment


def _pay_if_enough(payment: Payment, at: datetime) -> None:
    if payment.invoice is None:
        return
    try:
        invoicing.pay_from_wallet(invoice=payment.invoice, at=at)
    except invoicing.NotEnough:
        return  # it stays in the wallet as credit


def mark_clearing(*, payment_id: UUID, at: datetime) -> bool:
    """The customer has paid and the bank takes days; False when the payment is past that."""
    with tenancy.as_worker():
        rows = Payment.objects.filter(pk=payment_id, state=PaymentState.PENDING)
        return bool(rows.update(state=PaymentState.PROCESSING, poll_at=at + CLEARING_POLL))


def fail(*, payment_id: UUID, reason: str, at: datetime) -> bool:
    """The payment came to nothing; False when it is not open (any more)."""
    return _close(payment_id, PaymentState.FAILED, events.payment_failed, reason, at)


def expire(*, payment_id: UUID, at: datetime) -> bool:
    """The time to pay is over; False when the payment is not open (any more)."""
    return _close(payment_id, PaymentState.EXPIRED, events.payment_expired, "", at)


def _close(payment_id: UUID, state: PaymentState, news: Signal, failure: str, at: datetime) -> bool:
    with tenancy.as_worker():
        payment = locked_payment(payment_id)
        if payment.state not in Payment.OPEN:
            return False
        payment.state, payment.failure, payment.poll_at, payment.session_url = state, failure[:191], None, ""
        payment.save(update_fields=["state", "failure", "poll_at", "session_url"])
        news.send(Payment, payment=payment, at=at)
    return True
