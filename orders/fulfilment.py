"""From paid to running: the server of a paid order is created, and the order follows what becomes of it."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from catalog import services as catalog
from core import bulk, site_settings, tenancy, work
from orders import cancellation, queries, transitions
from orders.models import Order, OrderItem, OrderStatus
from orders.quote import server_limits
from servers import capacity
from servers import queries as server_queries
from servers import services as servers
from servers.models import ReservationState


def start_orders(*, order_ids: Collection[UUID], at: datetime) -> None:
    """The invoices are paid: create the servers, or refund orders that a user canceled. Twice is harmless."""
    with tenancy.as_worker():
        startable = {OrderStatus.PENDING_PAYMENT, OrderStatus.CANCELED}
        payable = [order for order in transitions.lock_orders(order_ids) if order.status in startable]
        orders = [order for order in payable if order.canceled_by_id is None]
        transitions.transition(orders, OrderStatus.PAID, reason="payment received", at=at, paid_at=at)
        create_servers(orders, at)
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
        create_servers([order], at)
        return order.status == OrderStatus.PROVISIONING


def create_servers(orders: Sequence[Order], at: datetime) -> None:
    """Create the servers of locked orders. One for which capacity or stock is missing waits, and gets none."""
    items_of: dict[UUID, list[OrderItem]] = defaultdict(list)
    rows = OrderItem.objects.filter(order__in=orders).order_by("pk")
    rows = rows.select_related("order__organization", "order__placed_by", "region", "reservation")
    for item in rows.select_related("plan_price__plan__product").prefetch_related("addons__addon_price__addon"):
        items_of[item.order_id].append(item)
    kept = [
        order
        for order in orders
        if all(
            item.reservation is not None and item.reservation.state != ReservationState.RELEASED
            for item in items_of[order.pk]
        )
    ]
    reservations = [item.reservation_id for order in kept for item in items_of[order.pk] if item.reservation_id]
    confirmed = capacity.confirm(reservation_ids=reservations)
    ready = [order for order in kept if all(item.reservation_id in confirmed for item in items_of[order.pk])]
    deliver([item for order in ready for item in items_of[order.pk]], at)
    transitions.transition(ready, OrderStatus.PROVISIONING, at=at, refund_due_at=None)
    for order in orders:
        if order not in ready:
            reserve_again(order, items_of[order.pk], at)


def deliver(items: Sequence[OrderItem], at: datetime) -> None:
    """Create the server of each item on its confirmed reservation."""
    requested = []
    for item in items:
        limits = server_limits(item.plan_price.plan, [row.addon_price.addon for row in item.addons.all()])
        if item.reservation is not None:
            new = servers.NewServer(
                organization=item.order.organization,
                owner=item.order.placed_by,
                name=item.server_name,
                plan=item.plan_price.plan,
                size=limits.size,
                reservation=item.reservation,
                databases=limits.databases,
                backups=limits.backups,
                variables=item.options["variables"],
            )
            requested.append(new)
    created = servers.create_servers(requested, at=at)
    for item in items:
        if item.reservation_id is not None:
            item.server = created[item.reservation_id]
    bulk.update_rows(items, ["server"])


def reserve_again(order: Order, items: Sequence[OrderItem], at: datetime) -> None:
    """Reserve what was released since checkout, and create the servers; the order waits where that is not possible."""
    try:
        with tenancy.as_worker():
            for item in items:
                if item.reservation_id and capacity.confirm(reservation_ids=[item.reservation_id]):
                    continue
                plan, addons = item.plan_price.plan, [row.addon_price.addon for row in item.addons.all()]
                if not item.is_stock_taken:
                    item.is_stock_taken = catalog.take_stock(plan_id=plan.pk)
                item.reservation = capacity.reserve(
                    organization=order.organization,
                    blueprints=server_queries.blueprints_of_plan(plan),
                    region=item.region,
                    size=server_limits(plan, addons).size,
                    addons={addon.kind for addon in addons},
                    at=at,
                    expires_at=at + timedelta(minutes=1),
                )
                capacity.confirm(reservation_ids=[item.reservation.pk])
                item.save(update_fields=["reservation", "is_stock_taken"])
            deliver(items, at)
    except (capacity.InsufficientCapacity, catalog.SoldOut) as error:
        if order.status != OrderStatus.WAITING_CAPACITY:
            due = at + timedelta(hours=site_settings.get("orders.waiting_refund_hours"))
            transitions.transition([order], OrderStatus.WAITING_CAPACITY, reason=str(error), at=at, refund_due_at=due)
        return
    transitions.transition([order], OrderStatus.PROVISIONING, at=at, refund_due_at=None)


def activate_orders(*, server_ids: Collection[UUID], at: datetime) -> None:
    """The panel confirmed that the servers run: orders whose servers all run are active."""
    undelivered = {OrderStatus.PROVISIONING, OrderStatus.FAILED}
    orders = [order for order in _lock_orders_of(server_ids) if order.status in undelivered]
    others = OrderItem.objects.filter(order__in=orders).exclude(server__in=server_ids)
    waiting = set(others.exclude(server__running_at__isnull=False).values_list("order_id", flat=True))
    complete = [order for order in orders if order.pk not in waiting]
    transitions.transition(complete, OrderStatus.ACTIVE, at=at, active_at=at, refund_due_at=None)


def fail_orders(*, server_ids: Collection[UUID], reason: str, at: datetime) -> None:
    """The servers could not be created: staff see the orders, which are refunded unless they repair them in time."""
    orders = [order for order in _lock_orders_of(server_ids) if order.status == OrderStatus.PROVISIONING]
    if orders:
        due = at + timedelta(hours=site_settings.get("orders.failed_refund_hours"))
        transitions.transition(orders, OrderStatus.FAILED, reason=reason, at=at, refund_due_at=due)


def fail_overdue(*, at: datetime) -> int:
    """Fail every paid order whose server does not run in time, whatever it waits for; the number of orders.

    Staff see it then, and it is refunded a set time later unless its server runs by then.
    """
    paid_until = at - timedelta(hours=site_settings.get("orders.delivery_hours"))
    overdue = Order.objects.filter(status=OrderStatus.PROVISIONING, paid_at__lte=paid_until).order_by("paid_at")

    def fail(pk: UUID) -> bool:
        with tenancy.as_worker():
            order = transitions.lock_order(pk)
            if order.status != OrderStatus.PROVISIONING:
                return False
            due = at + timedelta(hours=site_settings.get("orders.failed_refund_hours"))
            reason = "the server did not run in time"
            transitions.transition([order], OrderStatus.FAILED, reason=reason, at=at, refund_due_at=due)
        return True

    return work.run_each(list(overdue.values_list("pk", flat=True)), fail, name="overdue")


def _lock_orders_of(server_ids: Collection[UUID]) -> list[Order]:
    of_servers = OrderItem.objects.filter(server__in=server_ids).values("order_id")
    return list(Order.objects.select_for_update(no_key=True).filter(pk__in=of_servers).order_by("pk"))
