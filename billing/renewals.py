"""Subscriptions that the gateway renews: it charges each later period by itself, and we invoice the period once."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from billing import gateway_accounts, invoicing, payments, subscriptions, tax
from billing.gateways.base import GatewayPayment
from billing.invoicing import InvoiceLine
from billing.models import (
    PERIOD_KINDS,
    InvoiceItem,
    ItemKind,
    Payment,
    Period,
    Subscription,
    SubscriptionStatus,
)
from core import tenancy
from core.money import Rate

RENEWABLE = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE, SubscriptionStatus.SUSPENDED})


def record_renewal(*, gateway: str, subscription_id: UUID, gateway_payment: GatewayPayment, at: datetime) -> Payment:
    """Invoice the period that was paid for, and settle the invoice. The same transaction again changes nothing.

    Money for a period already billed, or of another amount than was sold, goes under review.
    """
    with tenancy.as_worker():
        is_live = gateway_accounts.mode_of(gateway)
        subscription = subscriptions.lock_subscription(subscription_id)
        known = Payment.objects.filter(gateway=gateway, transaction_id=gateway_payment.transaction_id).first()
        if known is not None:
            return known
        reason = mismatch_reason(subscription, gateway_payment)
        if reason or gateway_payment.period is None:  # which is one of the reasons
            return payments.record_unexpected_payment(
                organization=subscription.organization,
                gateway=gateway,
                is_live=is_live,
                gateway_payment=gateway_payment,
                reason=reason,
                at=at,
            )
        invoice = invoicing.draft_invoice(
            organization=subscription.organization,
            currency=subscription.currency,
            lines=renewal_lines(subscription, gateway_payment.period),
            seller=replace(tax.shop(), is_inclusive=True),  # the gateway has charged its price, so that is the total
            at=at,
        )
        payment = Payment.objects.create(
            organization=subscription.organization,
            invoice=invoice,
            gateway=gateway,
            is_live=is_live,
            amount_minor=invoice.total_minor,
            currency=invoice.currency,
            idempotency_key=f"renewal:{gateway_payment.transaction_id}",
            created_at=at,
        )
        # The gateway repeats the ids of the subscription's first payment; this money is for the new one.
        arrived = replace(gateway_payment, payment_id=payment.pk)
        return payments.settle(payment_id=payment.pk, gateway_payment=arrived, at=at)


def mismatch_reason(subscription: Subscription, gateway_payment: GatewayPayment) -> str:
    """Why this money may not renew the subscription; empty when it may."""
    period = gateway_payment.period
    if gateway_payment.organization_id != subscription.organization_id:
        return f"subscription {subscription.pk} is another organization's"
    if subscription.status not in RENEWABLE:
        return f"subscription {subscription.pk} is {subscription.status}"
    if gateway_payment.amount != subscription.amount:
        return f"subscription {subscription.pk} costs {subscription.amount}, got {gateway_payment.amount}"
    if period is None:
        return f"no period of subscription {subscription.pk} is named"
    canceled = subscription.gateway_subscriptions.filter(is_duplicate=False, cancel_requested_at__lte=period.start)
    if canceled.exists():
        return f"the gateway was asked to end subscription {subscription.pk} before {period.start:%Y-%m-%d}"
    billed = InvoiceItem.objects.filter(subscription=subscription, kind__in=PERIOD_KINDS, is_void=False)
    if billed.filter(period_start__lt=period.end, period_end__gt=period.start).exists():
        return f"the period of subscription {subscription.pk} from {period.start:%Y-%m-%d} is billed already"
    return ""


def renewal_lines(subscription: Subscription, period: Period) -> list[InvoiceLine]:
    """The invoice lines of a later period: the items valid when it begins, at the prices they were sold at."""
    begun = subscription.items.filter(valid_from__lte=period.start)
    return [
        InvoiceLine(
            kind=ItemKind(item.kind),
            description=item.description,
            unit=Rate(item.unit_minor, item.currency),
            quantity=item.quantity,
            subscription=subscription,
            subscription_item=item,
            period=period,
        )
        for item in begun.exclude(valid_until__lte=period.start)
    ]
