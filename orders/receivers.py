"""What orders do when an invoice is paid, money goes back, or a server runs: inside the transaction that caused it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.dispatch import receiver

from billing import events as billing_events
from billing.models import Invoice, Payment, PaymentState, Subscription, SubscriptionStatus
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


@receiver(billing_events.payment_disputed)
def suspend_disputed(payment: Payment, at: datetime, **_: Any) -> None:
    """While its payment is disputed, the server is suspended."""
    _place_billing_hold(_subscriptions_of(payment), "payment disputed", at)


@receiver(billing_events.dispute_closed)
def resume_after_won_dispute(payment: Payment, is_won: bool, at: datetime, **_: Any) -> None:  # noqa: FBT001 - a signal's argument
    """A dispute decided for us lifts the hold it placed."""
    if is_won:
        _lift_billing_hold(_subscriptions_of(payment), at)


@receiver(billing_events.payment_refunded)
def suspend_refunded(payment: Payment, at: datetime, **_: Any) -> None:
    """A server whose payment was refunded in full is suspended until staff decide."""
    if not payment.refundable:
        _place_billing_hold(_subscriptions_of(payment), "payment refunded", at)


@receiver(billing_events.subscription_ended)
def suspend_ended(subscription: Subscription, at: datetime, **_: Any) -> None:
    """A subscription that ended no longer pays for its server."""
    _place_billing_hold([subscription], "subscription ended", at)


@receiver(billing_events.subscription_recovered)
def resume_recovered(subscription: Subscription, at: datetime, **_: Any) -> None:
    """A payment lifts billing's hold, and no other."""
    _lift_billing_hold([subscription], at)


def _subscriptions_of(payment: Payment) -> list[Subscription]:
    """What the payment paid for, whether the first period or a later one."""
    return list(Subscription.objects.filter(invoice_items__invoice=payment.invoice).distinct())


def _place_billing_hold(subscriptions: Iterable[Subscription], reason: str, at: datetime) -> None:
    for server_id in _servers_of(subscriptions):
        servers.hold_server(server_id=server_id, kind=HoldKind.BILLING, reason=reason, actor=None, at=at)


def _lift_billing_hold(subscriptions: Iterable[Subscription], at: datetime) -> None:
    """Lift billing's hold where nothing is owed: it is one hold for every reason that billing has."""
    for server_id in _servers_of(row for row in subscriptions if is_paid_up(row)):
        servers.lift_hold(server_id=server_id, kind=HoldKind.BILLING, actor=None, at=at)


def is_paid_up(subscription: Subscription) -> bool:
    """Active, with no disputed payment, and the current period's payment not refunded."""
    paid = Payment.objects.filter(invoice__items__subscription=subscription)
    current = paid.filter(invoice__items__period_start=subscription.current_period_start)
    return (
        subscription.status == SubscriptionStatus.ACTIVE
        and not paid.filter(state=PaymentState.DISPUTED).exists()
        and not current.filter(state=PaymentState.REFUNDED).exists()
    )


def _servers_of(subscriptions: Iterable[Subscription]) -> list[UUID]:
    items = OrderItem.objects.filter(subscription__in=list(subscriptions), server__isnull=False)
    return [item.server_id for item in items if item.server_id]
