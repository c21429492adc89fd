"""What orders do at news from below, inside the transaction that brought it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.dispatch import receiver

from billing import events as billing_events
from billing.models import Invoice, Payment, PaymentState, Subscription, SubscriptionStatus
from orders import fulfilment, services
from orders.models import Order, OrderItem
from servers import events as server_events
from servers import services as servers
from servers.models import HoldKind, Server


@receiver(billing_events.invoice_paid)
def start_order(invoice: Invoice, at: datetime, **_: Any) -> None:
    """A paid invoice starts its order."""
    for order_id in Order.objects.filter(invoice=invoice).values_list("pk", flat=True):
        fulfilment.start(order_id=order_id, at=at)


@receiver(billing_events.payment_expired)
def cancel_expired_order(payment: Payment, at: datetime, **_: Any) -> None:
    """The page to pay on has closed unpaid: the order is canceled and its room given back."""
    for order_id in Order.objects.filter(invoice=payment.invoice).values_list("pk", flat=True):
        services.cancel_unpaid(order_id=order_id, reason="not paid in time", at=at)


@receiver(server_events.server_running)
def activate_order(server: Server, at: datetime, **_: Any) -> None:
    """The panel's confirmation makes the order active."""
    fulfilment.server_runs(server=server, at=at)


@receiver(server_events.server_failed)
def fail_order(server: Server, reason: str, at: datetime, **_: Any) -> None:
    """A server that could not be made fails its order."""
    fulfilment.server_failed(server=server, reason=reason, at=at)


@receiver(billing_events.payment_disputed)
def hold_disputed(payment: Payment, at: datetime, **_: Any) -> None:
    """While the bank takes the money back, the server rests."""
    _hold(_subscriptions_of(payment), "payment disputed", at)


@receiver(billing_events.dispute_closed)
def lift_won_dispute(payment: Payment, is_won: bool, at: datetime, **_: Any) -> None:  # noqa: FBT001 - a signal's argument
    """A dispute decided for us lifts the hold it placed."""
    if is_won:
        _lift_where_paid(_subscriptions_of(payment), at)


@receiver(billing_events.payment_refunded)
def hold_refunded(payment: Payment, at: datetime, **_: Any) -> None:
    """A server whose money went back in full rests until staff decide."""
    if not payment.refundable:
        _hold(_subscriptions_of(payment), "payment refunded", at)


@receiver(billing_events.subscription_ended)
def hold_ended(subscription: Subscription, at: datetime, **_: Any) -> None:
    """A subscription that ended no longer pays for its server."""
    _hold([subscription], "subscription ended", at)


@receiver(billing_events.subscription_recovered)
def lift_recovered(subscription: Subscription, at: datetime, **_: Any) -> None:
    """A payment lifts billing holds, and only those."""
    _lift_where_paid([subscription], at)


def _subscriptions_of(payment: Payment) -> list[Subscription]:
    """What the payment paid for, whether it was the first period or a later one."""
    return list(Subscription.objects.filter(invoice_items__invoice=payment.invoice).distinct())


def _hold(subscriptions: Iterable[Subscription], reason: str, at: datetime) -> None:
    for server_id in _servers_of(subscriptions):
        servers.hold_server(server_id=server_id, kind=HoldKind.BILLING, reason=reason, actor=None, at=at)


def _lift_where_paid(subscriptions: Iterable[Subscription], at: datetime) -> None:
    """Lift billing's hold, unless another reason for it stands: there is one hold for all of them."""
    for server_id in _servers_of(row for row in subscriptions if _is_paid(row)):
        servers.lift_hold(server_id=server_id, kind=HoldKind.BILLING, actor=None, at=at)


def _is_paid(subscription: Subscription) -> bool:
    """Whether it goes on, no period's money is at the bank's mercy, and the present one's was not returned."""
    paid = Payment.objects.filter(invoice__items__subscription=subscription)
    present = paid.filter(invoice__items__period_start=subscription.current_period_start)
    return (
        subscription.status == SubscriptionStatus.ACTIVE
        and not paid.filter(state=PaymentState.DISPUTED).exists()
        and not present.filter(state=PaymentState.REFUNDED).exists()
    )


def _servers_of(subscriptions: Iterable[Subscription]) -> list[UUID]:
    items = OrderItem.objects.filter(subscription__in=list(subscriptions), server__isnull=False)
    return [item.server_id for item in items if item.server_id]
