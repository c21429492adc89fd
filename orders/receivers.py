"""What orders do when an invoice is paid, money goes back, or a server runs: inside the transaction that caused it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.dispatch import receiver

from billing import events as billing_events
from billing.models import Dispute, Invoice, InvoiceState, Payment, Subscription, SubscriptionStatus
from orders import cancellation, fulfilment
from orders.models import Order, OrderItem
from servers import events as server_events
from servers import services as servers
from servers.models import HoldKind, Server


@receiver(billing_events.invoice_paid)
def start_order(invoice: Invoice, at: datetime, **_: Any) -> None:
    """A paid invoice starts its order."""
    for order_id in Order.objects.filter(invoice=invoice).values_list("pk", flat=True):
        fulfilment.start_order(order_id=order_id, at=at)


@receiver(billing_events.payment_expired)
def cancel_expired_order(payment: Payment, at: datetime, **_: Any) -> None:
    """The checkout session expired unpaid: its order is canceled."""
    for order_id in Order.objects.filter(invoice=payment.invoice).values_list("pk", flat=True):
        cancellation.cancel_unpaid(order_id=order_id, reason="not paid in time", at=at)


@receiver(server_events.server_running)
def activate_order(server: Server, at: datetime, **_: Any) -> None:
    """The panel's confirmation makes the order active."""
    fulfilment.activate_order(server=server, at=at)


@receiver(server_events.server_failed)
def fail_order(server: Server, reason: str, at: datetime, **_: Any) -> None:
    """A server that could not be created fails its order."""
    fulfilment.fail_order(server=server, reason=reason, at=at)


@receiver(billing_events.funds_withdrawn)
def suspend_unpaid(invoice: Invoice, reason: str, at: datetime, **_: Any) -> None:
    """A server whose money a bank took, or a full refund returned, is suspended until it is back or staff decide."""
    _place_billing_hold(_subscriptions_of(invoice), reason, at)


@receiver(billing_events.funds_reinstated)
def resume_paid(invoice: Invoice, at: datetime, **_: Any) -> None:
    """A dispute that was won, or a refund that failed, lifts the hold it placed."""
    _lift_billing_hold(_subscriptions_of(invoice), at)


@receiver(billing_events.subscription_ended)
def suspend_ended(subscription: Subscription, at: datetime, **_: Any) -> None:
    """A subscription that ended no longer pays for its server."""
    _place_billing_hold([subscription], "subscription ended", at)


@receiver(billing_events.subscription_recovered)
def resume_recovered(subscription: Subscription, at: datetime, **_: Any) -> None:
    """A payment lifts billing's hold, and no other."""
    _lift_billing_hold([subscription], at)


def _subscriptions_of(invoice: Invoice) -> list[Subscription]:
    """What the invoice is for, whether the first period or a later one."""
    return list(Subscription.objects.filter(invoice_items__invoice=invoice).distinct())


def _place_billing_hold(subscriptions: Iterable[Subscription], reason: str, at: datetime) -> None:
    for server_id in _servers_of(subscriptions):
        servers.hold_server(server_id=server_id, kind=HoldKind.BILLING, reason=reason, actor=None, at=at)


def _lift_billing_hold(subscriptions: Iterable[Subscription], at: datetime) -> None:
    """Lift billing's hold where nothing is owed: it is one hold for every reason that billing has."""
    for server_id in _servers_of(row for row in subscriptions if is_paid_up(row)):
        servers.lift_hold(server_id=server_id, kind=HoldKind.BILLING, actor=None, at=at)


def is_paid_up(subscription: Subscription) -> bool:
    """Active, with no dispute that is open or lost, and the current period's invoice not refunded."""
    invoices = Invoice.objects.filter(items__subscription=subscription)
    current = invoices.filter(items__period_start=subscription.current_period_start)
    disputes = Dispute.objects.filter(payment__allocations__invoice__in=invoices)
    return (
        subscription.status == SubscriptionStatus.ACTIVE
        and not disputes.exclude(is_won=True).exists()
        and not current.filter(state=InvoiceState.REFUNDED).exists()
    )


def _servers_of(subscriptions: Iterable[Subscription]) -> list[UUID]:
    items = OrderItem.objects.filter(subscription__in=list(subscriptions), server__isnull=False)
    return [item.server_id for item in items if item.server_id]
