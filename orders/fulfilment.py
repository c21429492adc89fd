"""From paid to running: the server of a paid order is created, and the order follows what becomes of it."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from catalog import services as catalog
from core import bulk, site_settings, tenancy, work
from orders import cancellation, coupons, placement, queries, transitions
from orders.models import Order, OrderItem, OrderStatus
from orders.quote import server_limits
from servers import builds, capacity
from servers import services as servers
from servers.models import Reservation, ReservationState

# Paid, and no server is being created.
UNPLACED = (OrderStatus.PAID, OrderStatus.WAITING_CAPACITY)
# What is reserved again is confirmed at once, or expires after this.
RESERVED_FOR = timedelta(minutes=1)


def start_orders(*, order_ids: Collection[UUID], at: datetime) -> None:
    """The invoices are paid: create the servers, or refund orders that a user canceled. Twice is harmless."""
    with tenancy.as_worker():
        startable = {OrderStatus.PENDING_PAYMENT, OrderStatus.CANCELED}
        payable = [order for order in transitions.lock_orders(order_ids) if order.status in startable]
        orders = [order for order in payable if order.canceled_by_id is None]
        coupons.take_again([order for order in orders if order.status == OrderStatus.CANCELED])
        transitions.transition(orders, OrderStatus.PAID, reason="payment received", at=at, paid_at=at)
        started = create_servers(orders, at)
        retry_after_commit([order.pk for order in orders if order not in started], at=at)
        for order in payable:
            if order.canceled_by_id is not None and order.paid_at is None:
                cancellation.refund_late_payment(order, at)


def create_servers(orders: Sequence[Order], at: datetime) -> list[Order]:
    """Create the servers of those of the locked orders whose capacity is still reserved; returns those."""
    items_of: dict[UUID, list[OrderItem]] = defaultdict(list)
    for item in items_to_deliver().filter(order__in=orders):
        items_of[item.order_id].append(item)
    kept = [order for order in orders if not any(is_released(item) for item in items_of[order.pk])]
    reservations = [item.reservation_id for order in kept for item in items_of[order.pk] if item.reservation_id]
    confirmed = capacity.confirm(reservation_ids=reservations)
    ready = [order for order in kept if all(item.reservation_id in confirmed for item in items_of[order.pk])]
    deliver([item for order in ready for item in items_of[order.pk]], at)
    transitions.transition(ready, OrderStatus.PROVISIONING, at=at, refund_due_at=None)
    return ready


def items_to_deliver() -> "QuerySet[OrderItem]":
    """Items with all that reserving for them and creating their servers needs."""
    rows = OrderItem.objects.select_related("order__organization", "order__placed_by", "region", "reservation", "image")
    joined = rows.select_related("plan_price__plan__product").prefetch_related("addons__addon_price__addon")
    return joined.order_by("pk")


def is_released(item: OrderItem) -> bool:
    """Whether no capacity is reserved for the item."""
    return item.reservation is None or item.reservation.state == ReservationState.RELEASED


def retry_after_commit(order_ids: Collection[UUID], *, at: datetime) -> None:
    """Reserve again for these orders when this transaction has ended; the sweep does where this process dies before."""
    if order_ids:
        retry = partial(work.run_each, order_ids, lambda pk: retry_order(order_id=pk, at=at), name="retry")
        transaction.on_commit(retry, robust=True)


def retry_waiting(*, at: datetime) -> int:
    """Try every order again that has no capacity; the number whose servers are created now.

    One whose payment is disputed waits until the dispute is won.
    """
    undisputed = queries.undisputed_orders().filter(status=OrderStatus.WAITING_CAPACITY)
    waiting = Order.objects.filter(Q(status=OrderStatus.PAID) | Q(pk__in=undisputed.values("pk")))
    ids = list(waiting.order_by("paid_at").values_list("pk", flat=True))
    return work.run_each(ids, lambda pk: retry_order(order_id=pk, at=at), name="retry")


def retry_order(*, order_id: UUID, at: datetime) -> bool:
    """Reserve what a paid order has no capacity for, and create its servers; False where it has to wait.

    Each item is reserved in a transaction of its own, as when the order was placed: several in one would lock several
    nodes. So the caller has none open. What a process that dies here had reserved expires.
    """
    with tenancy.as_worker():
        items = list(items_to_deliver().filter(order=order_id, order__status__in=UNPLACED))
        is_undisputed = queries.undisputed_orders().filter(pk=order_id).exists()
    reservations: dict[UUID, Reservation] = {}
    is_placed = False
    try:
        for item in items if is_undisputed else []:
            if is_released(item):
                reservations[item.pk] = placement.reserve_item(
                    organization=item.order.organization,
                    plan=item.plan_price.plan,
                    image=item.image,
                    addons=item.sold_addons,
                    region=item.region,
                    at=at,
                    expires_at=at + RESERVED_FOR,
                )
        is_placed = place_reserved(order_id, reservations, at)
    except (capacity.InsufficientCapacity, catalog.SoldOut) as error:
        wait_for_capacity(order_id, str(error), at)
    finally:
        if not is_placed:
            placement.release_reserved(list(reservations.values()), at)
    return is_placed


def place_reserved(order_id: UUID, reservations: Mapping[UUID, Reservation], at: datetime) -> bool:
    """Create the servers of an order with these reservations, by their items; False where it is too late for that.

    A disputed order waits. Raises SoldOut, and InsufficientCapacity where what was reserved earlier expired just now.
    """
    with tenancy.as_worker():
        order = transitions.lock_order(order_id)
        if order.status not in UNPLACED:
            return False
        if not queries.undisputed_orders().filter(pk=order_id).exists():
            wait(order, "the payment is disputed", at)
            return False
        items = list(items_to_deliver().filter(order=order))
        for item in sorted(items, key=lambda item: item.plan_price.plan_id):  # stock before reservations
            if item.pk in reservations:
                item.is_stock_taken = item.is_stock_taken or catalog.take_stock(plan_id=item.plan_price.plan_id)
                reservation = reservations[item.pk]
                if item.reservation is None or item.reservation.blueprint_id != reservation.blueprint_id:
                    keys = item.options.get("ssh_keys", ())
                    item.build = builds.sold_build(reservation.blueprint, item.image, keys)
                item.reservation = reservation
                item.save(update_fields=["reservation", "build", "is_stock_taken"])
        confirmed = capacity.confirm(reservation_ids=[item.reservation_id for item in items if item.reservation_id])
        if any(item.reservation_id not in confirmed for item in items):
            raise capacity.InsufficientCapacity("a reservation expired meanwhile")
        deliver(items, at)
        transitions.transition([order], OrderStatus.PROVISIONING, at=at, refund_due_at=None)
    return True


def wait_for_capacity(order_id: UUID, reason: str, at: datetime) -> None:
    """The order waits, and is refunded a set time after it began to."""
    with tenancy.as_worker():
        wait(transitions.lock_order(order_id), reason, at)


def wait(order: Order, reason: str, at: datetime) -> None:
    """See `wait_for_capacity`, for a locked order. What cannot be built as a whole keeps nothing reserved."""
    if order.status == OrderStatus.PAID:
        unbuilt = order.items.filter(server=None, reservation__isnull=False).values_list("reservation_id", flat=True)
        capacity.release(reservation_ids=list(unbuilt), at=at)
        due = at + timedelta(hours=site_settings.get("orders.waiting_refund_hours"))
        transitions.transition([order], OrderStatus.WAITING_CAPACITY, reason=reason, at=at, refund_due_at=due)


def deliver(items: Sequence[OrderItem], at: datetime) -> None:
    """Create the server of each item on its confirmed reservation."""
    requested = []
    for item in items:
        limits = server_limits(item.plan_price.plan, item.sold_addons)
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
                build=item.build,
            )
            requested.append(new)
    created = servers.create_servers(requested, at=at)
    for item in items:
        if item.reservation_id is not None:
            item.server = created[item.reservation_id]
    bulk.update_rows(items, ["server"])


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
    undelivered = (OrderStatus.PAID, OrderStatus.PROVISIONING)
    overdue = Order.objects.filter(status__in=undelivered, paid_at__lte=paid_until).order_by("paid_at")

    def fail(pk: UUID) -> bool:
        with tenancy.as_worker():
            order = transitions.lock_order(pk)
            if order.status not in undelivered:
                return False
            due = at + timedelta(hours=site_settings.get("orders.failed_refund_hours"))
            reason = "the server did not run in time"
            transitions.transition([order], OrderStatus.FAILED, reason=reason, at=at, refund_due_at=due)
        return True

    return work.run_each(list(overdue.values_list("pk", flat=True)), fail, name="overdue")


def _lock_orders_of(server_ids: Collection[UUID]) -> list[Order]:
    of_servers = OrderItem.objects.filter(server__in=server_ids).values("order_id")
    return list(Order.objects.select_for_update(no_key=True).filter(pk__in=of_servers).order_by("pk"))
