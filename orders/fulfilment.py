"""From paid to running: keep the room, make the server, and where that cannot be, give the money back."""

from datetime import datetime, timedelta
from uuid import UUID

from billing import invoicing, refunds, subscriptions
from billing.models import Payment, PaymentState
from catalog import services as catalog
from core import site_settings, tenancy
from orders import statuses
from orders.models import Order, OrderItem, OrderItemAddon, OrderStatus
from orders.sizes import Limits, limits_of
from servers import capacity
from servers import services as servers
from servers.models import Blueprint, Reservation, Server


def start(*, order_id: UUID, at: datetime) -> None:
    """The invoice is paid: record it and begin to build. Calling it twice is harmless."""
    with tenancy.as_worker():
        order = locked(order_id)
        if order.status not in {OrderStatus.PENDING_PAYMENT, OrderStatus.CANCELED}:
            return
        statuses.move(order, OrderStatus.PAID, reason="payment received", at=at, paid_at=at)
        _build(order, at)


def retry_waiting(*, at: datetime) -> int:
    """Try again to place every paid order that found no room; the number placed."""
    waiting = Order.objects.filter(status=OrderStatus.WAITING_CAPACITY).order_by("paid_at")
    return sum(retry_placing(order_id=pk, at=at) for pk in waiting.values_list("pk", flat=True))


def retry_placing(*, order_id: UUID, at: datetime) -> bool:
    """Try again to place one paid order that found no room; whether it is placed now."""
    with tenancy.as_worker():
        order = locked(order_id)
        if order.status != OrderStatus.WAITING_CAPACITY:
            return False
        _build(order, at)
        return order.status == OrderStatus.PROVISIONING


def _build(order: Order, at: datetime) -> None:
    """Keep or find room for every item and ask for its server; without room the order waits, for staff to see."""
    items = list(order.items.select_related("plan_price__plan", "location", "reservation"))
    try:
        with tenancy.as_worker():
            for item in items:
                _build_item(order, item, at)
    except (capacity.InsufficientCapacity, catalog.SoldOut) as error:
        _wait(order, str(error), at)
        return
    statuses.move(order, OrderStatus.PROVISIONING, at=at, refund_due_at=None)


def _build_item(order: Order, item: OrderItem, at: datetime) -> None:
    blueprint = Blueprint.objects.select_related("provider", "egg").get(pk=item.options["blueprint"])
    limits = limits_of(item.plan_price.plan, [chosen.addon_price.addon for chosen in _addons(item)])
    reservation = _kept_reservation(order, item, blueprint, limits, at)
    item.server = servers.create_server(
        organization=order.organization,
        owner=order.placed_by,
        name=item.server_name,
        blueprint=blueprint,
        plan=item.plan_price.plan,
        size=limits.size,
        reservation=reservation,
        databases=limits.databases,
        backups=limits.backups,
        variables=item.options["variables"],
        at=at,
    )
    item.save(update_fields=["server"])


def _addons(item: OrderItem) -> list[OrderItemAddon]:
    return list(item.addons.select_related("addon_price__addon"))


def _kept_reservation(order: Order, item: OrderItem, blueprint: Blueprint, limits: Limits, at: datetime) -> Reservation:
    """The reservation made at checkout, or a new one where that was released. Raises InsufficientCapacity, SoldOut."""
    held = item.reservation
    if held is not None and capacity.confirm(reservation_id=held.pk, at=at):
        held.refresh_from_db()
        return held
    if not item.is_stock_taken:
        item.is_stock_taken = catalog.take_stock(plan_id=item.plan_price.plan_id)
    item.reservation = capacity.reserve(
        organization=order.organization,
        blueprint=blueprint,
        location=item.location,
        size=limits.size,
        at=at,
        expires_at=at + timedelta(minutes=1),
    )
    capacity.confirm(reservation_id=item.reservation.pk, at=at)
    item.reservation.refresh_from_db()
    item.save(update_fields=["reservation", "is_stock_taken"])
    return item.reservation


def _wait(order: Order, reason: str, at: datetime) -> None:
    if order.status == OrderStatus.WAITING_CAPACITY:
        return
    due = at + timedelta(hours=site_settings.get("orders.waiting_refund_hours"))
    statuses.move(order, OrderStatus.WAITING_CAPACITY, reason=reason, at=at, refund_due_at=due)


def server_runs(*, server: Server, at: datetime) -> None:
    """The panel confirmed the server: the order is active."""
    order = _order_of(server)
    if order is not None and order.status in {OrderStatus.PROVISIONING, OrderStatus.FAILED}:
        statuses.move(order, OrderStatus.ACTIVE, at=at, active_at=at, refund_due_at=None)


def server_failed(*, server: Server, reason: str, at: datetime) -> None:
    """The server could not be made: staff see it, and the money goes back by itself when nobody mends it in time."""
    order = _order_of(server)
    if order is not None and order.status == OrderStatus.PROVISIONING:
        due = at + timedelta(hours=site_settings.get("orders.failed_refund_hours"))
        statuses.move(order, OrderStatus.FAILED, reason=reason, at=at, refund_due_at=due)


def _order_of(server: Server) -> Order | None:
    rows = Order.objects.select_for_update(no_key=True, of=("self",))
    return rows.filter(items__server=server).first()


def locked(order_id: UUID) -> Order:
    """The order under its lock and, before it, its invoice's: billing locks in that order too when money arrives."""
    invoicing.lock_invoice(Order.objects.values_list("invoice_id", flat=True).get(pk=order_id))
    rows = Order.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("organization", "placed_by", "invoice").get(pk=order_id)


def refund_overdue(*, at: datetime) -> int:
    """Give the money back for every order that stood without a server for too long; the number of orders."""
    due = Order.objects.filter(
        status__in=[OrderStatus.WAITING_CAPACITY, OrderStatus.FAILED], refund_due_at__lte=at
    ).values_list("pk", flat=True)
    return sum(cancel_paid(order_id=pk, reason="no server in time", actor=None, at=at) for pk in list(due))


def cancel_paid(*, order_id: UUID, reason: str, actor: object, at: datetime) -> bool:
    """Cancel an order that was paid but got no running server, and give back room and money; False when past that."""
    with tenancy.as_worker():
        order = locked(order_id)
        if order.status not in {OrderStatus.WAITING_CAPACITY, OrderStatus.FAILED}:
            return False
        let_go(order, at=at)
        for payment in order.invoice.payments.filter(state=PaymentState.SUCCEEDED):
            _give_back(payment, reason, actor, at)
        statuses.move(order, OrderStatus.CANCELED, reason=reason, actor=actor, at=at, refund_due_at=None)
    return True


def _give_back(payment: Payment, reason: str, actor: object, at: datetime) -> None:
    if payment.refundable:
        refunds.refund_payment(payment=payment, amount=payment.refundable, reason=reason, actor=actor, at=at)


def let_go(order: Order, *, at: datetime) -> None:
    """Give back what the order's items hold: the piece of stock, the server, else the room, and the subscription.

    Stock comes before room, as when an order is placed, so that neither waits for the other.
    """
    for item in order.items.select_related("subscription", "server", "plan_price"):
        if item.is_stock_taken:
            catalog.return_stock(plan_id=item.plan_price.plan_id)
            item.is_stock_taken = False
            item.save(update_fields=["is_stock_taken"])
        if item.server is not None:
            servers.delete_server(server_id=item.server.pk, actor=None, at=at)
        elif item.reservation_id is not None:
            capacity.release(reservation_id=item.reservation_id, at=at)
        if not subscriptions.cancel_pending(subscription=item.subscription, at=at):
            subscriptions.end_subscription(subscription=item.subscription, reason="order canceled", at=at)
