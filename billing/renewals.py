"""Later periods of subscriptions that the gateway collects: money comes by itself, and we invoice it once a period."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from billing import invoicing, payments, subscriptions
from billing.gateways.base import GatewayPayment
from billing.invoicing import InvoiceLine
from billing.models import BillingMode, Gateway, InvoiceItem, ItemKind, Payment, Subscription, SubscriptionStatus
from billing.periods import Period
from core import tenancy
from core.money import Money

RUNNING = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE, SubscriptionStatus.SUSPENDED})


def record(*, subscription_id: UUID, receipt: GatewayPayment, at: datetime) -> Payment:
    """Invoice the period that the receipt pays for, with payment and bookings; the same receipt again changes nothing.

    Money for a period already billed, or of another amount than was sold, is held for staff.
    """
    with tenancy.as_worker():
        subscription = subscriptions.locked(subscription_id)
        known = Payment.objects.filter(gateway=Gateway.STRIPE, transaction_id=receipt.transaction_id).first()
        if known is not None:
            return known
        objection = _objection(subscription, receipt)
        if objection or receipt.period is None:
            return hold(subscription=subscription, receipt=receipt, reason=objection, at=at)
        payment = _payment(subscription, receipt, receipt.period, at)
        ours = replace(receipt, payment_id=payment.pk)
        return payments.settle(payment_id=payment.pk, receipt=ours, at=at)


def hold(*, subscription: Subscription, receipt: GatewayPayment, reason: str, at: datetime) -> Payment:
    """Hold money that came for a subscription and for nothing we can name."""
    return payments.record_unexpected_payment(
        organization=subscription.organization, gateway=Gateway.STRIPE, receipt=receipt, reason=reason, at=at
    )


def _objection(subscription: Subscription, receipt: GatewayPayment) -> str:
    if receipt.organization_id != subscription.organization_id:
        return f"subscription {subscription.pk} is another organization's"
    if subscription.status not in RUNNING:
        return f"subscription {subscription.pk} is {subscription.status}"
    if receipt.amount != subscription.amount:
        return f"subscription {subscription.pk} costs {subscription.amount}, got {receipt.amount}"
    if receipt.period is None:
        return f"no period of subscription {subscription.pk} is named"
    if _is_billed(subscription, receipt.period):
        return f"the period of subscription {subscription.pk} from {receipt.period.start:%Y-%m-%d} is billed already"
    return ""


def _is_billed(subscription: Subscription, period: Period) -> bool:
    return InvoiceItem.objects.filter(subscription=subscription, period_start=period.start).exists()


def _payment(subscription: Subscription, receipt: GatewayPayment, period: Period, at: datetime) -> Payment:
    invoice = invoicing.draft_invoice(
        organization=subscription.organization,
        currency=subscription.currency,
        lines=_lines(subscription, period),
        at=at,
    )
    return Payment.objects.create(
        organization=subscription.organization,
        invoice=invoice,
        gateway=Gateway.STRIPE,
        billing_mode=BillingMode.GATEWAY,
        amount_minor=invoice.total_minor,
        currency=invoice.currency,
        idempotency_key=f"renewal:{receipt.transaction_id}",
        created_at=at,
    )


def _lines(subscription: Subscription, period: Period) -> list[InvoiceLine]:
    return [
        InvoiceLine(
            kind=ItemKind(item.kind),
            description=item.description,
            unit=Money(item.unit_minor, item.currency),
            quantity=item.quantity,
            subscription=subscription,
            subscription_item=item,
            period=period,
        )
        for item in subscription.items.all()
    ]
