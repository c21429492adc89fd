"""What orders do at news from below, inside the transaction that brought it."""

from datetime import datetime
from typing import Any

from django.dispatch import receiver

from billing import events as billing_events
from billing.models import Invoice, Payment, Subscription
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
    for server_id in _servers_paid_by(payment):
        servers.hold_server(server_id=server_id, kind=HoldKind.BILLING, reason="payment disputed", actor=None, at=at)


@receiver(billing_events.dispute_closed)
def lift_won_dispute(payment: Payment, is_won: bool, at: datetime, **_: Any) -> None:  # noqa: FBT001 - a signal's argument
    """A dispute decided for us lifts the hold it placed."""
    if is_won:
        for server_id in _servers_paid_by(payment):
            servers.lift_hold(server_id=server_id, kind=HoldKind.BILLING, actor=None, at=at)


@receiver(billing_events.payment_refunded)
def hold_refunded(payment: Payment, at: datetime, **_: Any) -> None:
    """A server whose money went back in full rests until staff decide."""
    if not payment.refundable:
        for server_id in _servers_paid_by(payment):
            servers.hold_server(
                server_id=server_id, kind=HoldKind.BILLING, reason="payment refunded", actor=None, at=at
            )


@receiver(billing_events.subscription_ended)
def hold_ended(subscription: Subscription, at: datetime, **_: Any) -> None:
    """A subscription that ended no longer pays for its server."""
    for server_id in _servers_of(OrderItem.objects.filter(subscription=subscription)):
        servers.hold_server(server_id=server_id, kind=HoldKind.BILLING, reason="subscription ended", actor=None, at=at)


@receiver(billing_events.subscription_recovered)
def lift_recovered(subscription: Subscription, at: datetime, **_: Any) -> None:
    """A payment lifts billing holds, and only those."""
    for server_id in _servers_of(OrderItem.objects.filter(subscription=subscription)):
        servers.lift_hold(server_id=server_id, kind=HoldKind.BILLING, actor=None, at=at)


def _servers_paid_by(payment: Payment) -> list[Any]:
    return _servers_of(OrderItem.objects.filter(order__invoice=payment.invoice))


def _servers_of(items: Any) -> list[Any]:
    return list(items.filter(server__isnull=False).values_list("server_id", flat=True))
