"""Many at once: more buyers than capacity, many workers on one inbox, and cancellation while a payment arrives."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import randrange
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from billing import invoicing
from billing.models import Invoice, JournalEntry, Payment, PaymentState
from catalog.models import Plan
from catalog.services import SoldOut
from core import audit, work
from core.ids import uuid7
from orders import cancellation
from orders.models import Order, OrderStatus
from servers.capacity import InsufficientCapacity
from servers.models import Allocation, Node, Reservation, ReservationState, Server
from tests.faults.purchase import PRICE, balances, dead_work
from tests.shop import (
    Clock,
    Shop,
    allow_unpaid_orders,
    create_session,
    deliver_webhooks,
    make_customers,
    panel_servers,
    place_order,
    run_until_idle,
)

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
BUYERS, CAPACITY, THREADS = 200, 100, 20


def at_once[Thing, Result](act: Callable[[Thing], Result], things: Iterable[Thing]) -> list[Result]:
    """Do `act` to each thing, many at a time, each in a thread with a connection of its own."""

    def alone(thing: Thing) -> Result:
        try:
            return act(thing)
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(alone, things))


def buy(customers: Sequence[Shop]) -> Callable[[int], str]:
    """One buyer's attempt, as one of the customers in turn, and what came of it."""

    def attempt(buyer: int) -> str:
        try:
            place_order(customers[buyer % len(customers)])
        except InsufficientCapacity:
            return "no capacity"
        except SoldOut:
            return "sold out"
        return "placed"

    return attempt


def test_two_hundred_buyers_and_capacity_for_one_hundred(shop: Shop) -> None:
    size = shop.price.plan.memory_mib
    nodes = Node.objects.filter(location__region=shop.region)
    nodes.update(memory_sellable_mib=CAPACITY * size, disk_sellable_mib=F("disk_mib"))
    _give_ports(shop, nodes.get(), BUYERS)
    allow_unpaid_orders()
    customers = make_customers(shop, THREADS)

    outcomes = Counter(at_once(buy(customers), range(BUYERS)))

    assert outcomes == {"placed": CAPACITY, "no capacity": BUYERS - CAPACITY}
    assert Order.objects.count() == Payment.objects.count() == Invoice.objects.count() == CAPACITY
    assert Reservation.objects.filter(state=ReservationState.RESERVED).count() == CAPACITY
    assert nodes.get().memory_reserved_mib == CAPACITY * size
    held = Allocation.objects.filter(reservation__isnull=False)
    assert held.count() == held.values("reservation").distinct().count() == CAPACITY


def test_the_last_ports_are_the_limit_where_memory_is_not(shop: Shop) -> None:
    nodes = Node.objects.filter(location__region=shop.region)
    ports = Allocation.objects.filter(node__in=nodes).count()
    allow_unpaid_orders()
    customers = make_customers(shop, THREADS)

    outcomes = Counter(at_once(buy(customers), range(ports + 20)))

    assert outcomes == {"placed": ports, "no capacity": 20}
    assert nodes.get().memory_reserved_mib == ports * shop.price.plan.memory_mib


def test_buying_and_canceling_the_last_pieces_at_once_never_deadlocks(shop: Shop) -> None:
    Plan.objects.update(stock=10)
    allow_unpaid_orders()
    customers = make_customers(shop, 10)
    placed = [place_order(customer) for customer in customers]

    def cancel(order: Order) -> str:
        cancellation.cancel_unpaid(order=order, reason="changed my mind", at=timezone.now())
        return "canceled"

    actions: list[Callable[[], str]] = []
    for order in placed:
        actions += [lambda order=order: cancel(order), *[lambda: buy(customers)(randrange(10))] * 4]  # type: ignore[misc]
    outcomes = Counter(at_once(lambda action: action(), actions))

    sold = Order.objects.filter(status=OrderStatus.PENDING_PAYMENT).count()
    assert outcomes["canceled"] == 10
    assert outcomes["placed"] == sold == 10 - (Plan.objects.get().stock or 0)
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == sold * shop.price.plan.memory_mib


def _give_ports(shop: Shop, node: Node, count: int) -> None:
    Allocation.objects.bulk_create(
        Allocation(node=node, ref=f"more-{number}", ip="192.0.2.250", port=30_000 + number) for number in range(count)
    )


@pytest.fixture
def customers(shop: Shop) -> list[Order]:
    """The orders of ten users who have paid, and whose webhooks have not arrived."""
    clock = Clock(shop.sandbox)
    placed = []
    for theirs in make_customers(shop, 10):
        order = place_order(theirs, at=clock.now)
        assert shop.sandbox.pay(create_session(order, at=clock.now)).is_accepted
        placed.append(order)
    return placed


def test_twenty_workers_on_one_inbox_settle_each_payment_once(shop: Shop, customers: list[Order]) -> None:
    clock = Clock(shop.sandbox)
    assert set(deliver_webhooks(shop.sandbox)) == {200}
    at = clock.pass_by()

    performed = at_once(lambda _worker: work.run_due(at=at), range(THREADS))
    run_until_idle(clock)

    assert sum(performed) > 0
    assert set(Payment.objects.values_list("state", flat=True)) == {PaymentState.SUCCEEDED}
    assert balances() == {"clearing": -10 * PRICE, "wallet": 0, "revenue": 10 * PRICE}
    assert JournalEntry.objects.count() == 20
    assert _numbers() == list(range(1, 11))
    assert {order.reload().status for order in customers} == {OrderStatus.ACTIVE}
    assert sorted(str(server["external_id"]) for server in panel_servers(shop.sandbox)) == sorted(
        str(pk) for pk in Server.objects.values_list("pk", flat=True)
    )
    assert Server.objects.count() == 10
    assert dead_work() == {}
    assert audit.verify() == []


def _numbers() -> list[int]:
    """The invoices' places in their series."""
    return sorted(int(str(number).rsplit("-", 1)[-1]) for number in Invoice.objects.values_list("number", flat=True))


def test_canceling_in_the_moment_of_paying_never_deadlocks_and_never_loses_the_money(
    shop: Shop, customers: list[Order]
) -> None:
    clock = Clock(shop.sandbox)
    deliver_webhooks(shop.sandbox)
    at = clock.pass_by()

    def cancel(order: Order) -> None:
        cancellation.cancel_unpaid(order=order, reason="changed my mind", at=at)

    actions: list[Callable[[], Any]] = [lambda: work.run_due(at=at) for _ in customers]
    actions += [lambda order=order: cancel(order) for order in customers]  # type: ignore[misc]
    at_once(
        lambda action: action(), [action for pair in zip(actions[:10], actions[10:], strict=True) for action in pair]
    )
    run_until_idle(clock, step=timedelta(seconds=10))

    assert {order.reload().status for order in customers} == {OrderStatus.ACTIVE}
    assert set(Payment.objects.values_list("state", flat=True)) == {PaymentState.SUCCEEDED}
    assert Server.objects.count() == len(panel_servers(shop.sandbox)) == 10
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 10 * shop.price.plan.memory_mib


def test_a_cancellation_waits_for_money_that_is_just_being_booked(shop: Shop) -> None:
    order = place_order(shop)

    def cancel() -> bool:
        try:
            return cancellation.cancel_unpaid(order=order, reason="changed my mind", at=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            invoicing.lock_invoice(order.invoice_id)  # as billing does first, when money arrives
            canceling = other.submit(cancel)
            _wait_for_a_blocked_query()
            Order.objects.select_for_update(nowait=True).get(pk=order.pk)  # as it does later
        assert canceling.result(timeout=10)


def _wait_for_a_blocked_query() -> None:
    """Until somebody asks for a lock that this transaction has."""
    for _ in range(1000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*), pg_sleep(0.01) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("no query is blocked")


def test_a_hundred_clicks_on_one_form_are_one_order(shop: Shop) -> None:
    token = uuid7()

    placed = at_once(lambda _click: place_order(shop, token=token).pk, range(100))

    assert len(set(placed)) == 1
    assert Reservation.objects.count() == 1
