"""From paid to running: the server of a paid order is created, and the order follows what becomes of it."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from catalog import services as catalog
from core import site_settings, tenancy, work
from orders import cancellation, queries, transitions
from orders.models import Order, OrderItem, OrderStatus
from orders.quote import server_limits
from servers import capacity
from servers import services as servers
from servers.models import Blueprint


def start_orders(*, order_ids: Collection[UUID], at: datetime) -> None:
    """The invoices are paid: create the servers, or refund orders that a user canceled. Twice is harmless."""
    with tenancy.as_worker():
        startable = {OrderStatus.PENDING_PAYMENT, OrderStatus.CANCELED}
        payable = [order for order in transitions.lock_orders(order_ids) if order.status in startable]
        orders = [order for order in payable if order.canceled_by_id is None]
        transitions.transition(orders, OrderStatus.PAID, reason="payment received", at=at, paid_at=at)
        for order in orders:
            create_servers(order, at)
        for order in payable:
            if order.canceled_by_id is not None and order.paid_at is None:
                cancellation.refund_late_payment(order, at)


def retry_waiting(*, at: datetime) -> int:
    """Try every order again that waits for capacity; the number whose servers are created now.

    One whose payment is disputed waits until the dispute is won.
    """
    waiting = queries.undisputed_orders().filter(status=OrderStatus.WAITING_CAPACITY).order_by("paid_at")
    ids = list(waiting.values_list("pk", flat=True))
    return work.run_each(ids, lambda pk: retry_order(order_id=pk, at=at), name="retry")


def retry_order(*, order_id: UUID, at: datetime) -> bool:
    """Try one order again that waits for capacity; whether its servers are created now. Not while it is disputed."""
    with tenancy.as_worker():
        order = transitions.lock_order(order_id)
        is_undisputed = queries.undisputed_orders().filter(pk=order.pk).exists()
        if order.status != OrderStatus.WAITING_CAPACITY or not is_undisputed:
            return False
        create_servers(order, at)
        return order.status == OrderStatus.PROVISIONING


def create_servers(order: Order, at: datetime) -> None:
    """Create the server of each item. Where capacity or stock is missing none is created, and the order waits."""
    items = list(order.items.select_related("plan_price__plan", "location", "reservation"))
    try:
        with tenancy.as_worker():
            for item in items:
                create_server(order, item, at)
    except (capacity.InsufficientCapacity, catalog.SoldOut) as error:
        if order.status != OrderStatus.WAITING_CAPACITY:
            due = at + timedelta(hours=site_settings.get("orders.waiting_refund_hours"))
            transitions.transition([order], OrderStatus.WAITING_CAPACITY, reason=str(error), at=at, refund_due_at=due)
        return
    transitions.transition([order], OrderStatus.PROVISIONING, at=at, refund_due_at=None)


def create_server(order: Order, item: OrderItem, at: datetime) -> None:
    """Create the item's server on the reservation made at checkout, or on a new one where that was released.

    Raises InsufficientCapacity, SoldOut.
    """
    blueprint = Blueprint.objects.select_related("provider", "egg").get(pk=item.options["blueprint"])
    addons = [row.addon_price.addon for row in item.addons.select_related("addon_price__addon")]
    limits = server_limits(item.plan_price.plan, addons)
    reservation = item.reservation
    if reservation is None or not capacity.confirm(reservation_id=reservation.pk, at=at):
        if not item.is_stock_taken:
            item.is_stock_taken = catalog.take_stock(plan_id=item.plan_price.plan_id)
        reservation = item.reservation = capacity.reserve(
            organization=order.organization,
            blueprint=blueprint,
            location=item.location,
            size=limits.size,
            at=at,
            expires_at=at + timedelta(minutes=1),
        )
        capacity.confirm(reservation_id=reservation.pk, at=at)
        item.save(update_fields=["reservation", "is_stock_taken"])
    reservation.refresh_from_db()
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


def activate_orders(*, server_ids: Collection[UUID], at: datetime) -> None:
    """The panel confirmed that the servers run: their orders are active."""
    undelivered = {OrderStatus.PROVISIONING, OrderStatus.FAILED}
    orders = [order for order in _lock_orders_of(server_ids) if order.status in undelivered]
    transitions.transition(orders, OrderStatus.ACTIVE, at=at, active_at=at, refund_due_at=None)


def fail_orders(*, server_ids: Collection[UUID], reason: str, at: datetime) -> None:
    """The servers could not be created: staff see the orders, which are refunded unless they repair them in time."""
    orders = [order for order in _lock_orders_of(server_ids) if order.status == OrderStatus.PROVISIONING]
    if orders:
        due = at + timedelta(hours=site_settings.get("orders.failed_refund_hours"))
        transitions.transition(orders, OrderStatus.FAILED, reason=reason, at=at, refund_due_at=due)


def _lock_orders_of(server_ids: Collection[UUID]) -> list[Order]:
    of_servers = OrderItem.objects.filter(server__in=server_ids).values("order_id")
    return list(Order.objects.select_for_update(no_key=True).filter(pk__in=of_servers).order_by("pk"))
