"""An order of several servers: each is reserved by itself, all are released when one fails, one payment is for all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from billing.models import Payment, Subscription, SubscriptionStatus
from core.ids import uuid7
from orders import cancellation, placement
from orders.models import Order, OrderItem, OrderStatus
from servers import capacity
from servers.capacity import InsufficientCapacity
from servers.models import Allocation, Node, Reservation, ReservationState, Server, ServerStatus
from tests.faults import forks
from tests.shop import (
    Clock,
    Shop,
    allow_unpaid_orders,
    create_session,
    deliver_webhooks,
    make_customers,
    make_priced_plan,
    panel_servers,
    place_order,
    run_once,
    run_until_idle,
)

NAMES = ("first", "second")


@pytest.fixture(autouse=True)
def many_unpaid(shop: Shop) -> None:
    """Customers here never paid before."""
    allow_unpaid_orders()


def items(shop: Shop, *names: str) -> list[placement.ItemRequest]:
    """A server of each name."""
    return [shop.item_request(server_name=name) for name in names or NAMES]


def reserved() -> tuple[int, int]:
    """Memory in MiB and ports that are reserved."""
    memory = sum(Node.objects.values_list("memory_reserved_mib", flat=True))
    return memory, Allocation.objects.filter(reservation__isnull=False).count()


def pay(order: Order, shop: Shop, clock: Clock) -> None:
    """The customer pays, and everything that follows is done."""
    shop.sandbox.pay(create_session(order, at=clock.now))
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)


def test_one_payment_for_two_servers_makes_exactly_two(shop: Shop, clock: Clock) -> None:
    order = place_order(shop, items=items(shop), at=clock.now)
    assert (order.total_minor, reserved()) == (1600, (2048, 2))
    assert [payment.amount_minor for payment in Payment.objects.all()] == [1600]

    pay(order, shop, clock)

    assert order.reload().status == OrderStatus.ACTIVE
    assert sorted(server["name"] for server in panel_servers(shop.sandbox)) == sorted(NAMES)
    assert [server.status for server in Server.objects.all()] == [ServerStatus.RUNNING] * 2
    assert {item.server_id for item in OrderItem.objects.all()} == {server.pk for server in Server.objects.all()}
    assert [row.status for row in Subscription.objects.all()] == [SubscriptionStatus.ACTIVE] * 2
    assert reserved() == (2048, 2)


def test_an_order_is_active_only_when_all_its_servers_run(shop: Shop, clock: Clock) -> None:
    order = place_order(shop, items=items(shop), at=clock.now)
    shop.sandbox.arm("pterodactyl", "POST /api/application/servers", "status", status=422, times=1)

    pay_and_stop = create_session(order, at=clock.now)
    shop.sandbox.pay(pay_and_stop)
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock, steps=20)

    assert sorted(Server.objects.values_list("status", flat=True)) == [ServerStatus.FAILED, ServerStatus.RUNNING]
    assert order.reload().status == OrderStatus.FAILED


def test_an_order_of_which_one_server_fails_for_good_gives_all_money_back_and_keeps_no_server(
    shop: Shop, clock: Clock
) -> None:
    order = place_order(shop, items=items(shop), at=clock.now)
    shop.sandbox.arm("pterodactyl", "POST /api/application/servers", "status", status=422, times=1)
    shop.sandbox.pay(create_session(order, at=clock.now))
    deliver_webhooks(shop.sandbox)
    for _ in range(6):
        run_once(clock.pass_by())
    assert (order.reload().status, len(panel_servers(shop.sandbox))) == (OrderStatus.FAILED, 1)

    clock.pass_by(timedelta(hours=73))
    for _ in range(6):
        run_once(clock.pass_by())

    assert (order.reload().status, panel_servers(shop.sandbox), reserved()) == (OrderStatus.CANCELED, [], (0, 0))
    assert [refund["amount"] for refund in shop.sandbox.stripe_state()["refund"]] == [1600]
    assert set(Subscription.objects.values_list("status", flat=True)) == {SubscriptionStatus.ENDED}


@pytest.mark.parametrize("released", [1, 2])
def test_a_paid_order_that_can_be_built_only_in_part_waits_without_a_reservation(
    shop: Shop, clock: Clock, released: int
) -> None:
    order = place_order(shop, items=items(shop), at=clock.now)
    session = create_session(order, at=clock.now)
    for item in order.items.order_by("pk")[:released]:
        assert item.reservation_id is not None
        capacity.release(reservation_ids=[item.reservation_id], at=clock.now)
    node = Node.objects.get(reservations__order_item__order=order, reservations__order_item=order.items.first())
    Node.objects.exclude(pk=node.pk).update(is_enabled=False)
    sellable = node.reload().memory_sellable_mib
    Node.objects.filter(pk=node.pk).update(memory_sellable_mib=1024)  # for one of the two

    shop.sandbox.pay(session)
    deliver_webhooks(shop.sandbox)
    run_once(clock.pass_by())
    assert (order.reload().status, reserved()) == (OrderStatus.WAITING_CAPACITY, (0, 0))
    run_once(clock.pass_by())
    assert (order.reload().status, reserved()) == (OrderStatus.WAITING_CAPACITY, (0, 0))

    Node.objects.filter(pk=node.pk).update(memory_sellable_mib=sellable)
    run_until_idle(clock)
    assert (order.reload().status, len(panel_servers(shop.sandbox))) == (OrderStatus.ACTIVE, 2)
    assert reserved() == (2048, 2)


def test_where_one_of_several_finds_no_capacity_nothing_stays_reserved(shop: Shop) -> None:
    large = make_priced_plan(code="mc-huge", memory_mib=10_000_000, minor=900)

    with pytest.raises(InsufficientCapacity):
        place_order(shop, items=[*items(shop), shop.item_request(plan_price=large)])

    assert reserved() == (0, 0)
    assert set(Reservation.objects.values_list("state", flat=True)) == {ReservationState.RELEASED}
    assert (Order.objects.count(), Subscription.objects.count()) == (0, 0)


def test_customers_who_race_for_several_servers_each_get_all_or_none(shop: Shop) -> None:
    node = Node.objects.filter(location__region=shop.region).order_by("pk")[0]
    Node.objects.exclude(pk=node.pk).update(is_enabled=False)
    Node.objects.filter(is_enabled=True).update(memory_sellable_mib=5 * 1024)

    def order(customer: Shop) -> Any:
        try:
            return place_order(customer, items=items(shop))
        except InsufficientCapacity:
            return None
        finally:
            connection.close()

    customers = make_customers(shop, 8)
    with ThreadPoolExecutor(8) as pool:
        placed = [made for made in pool.map(order, customers) if made is not None]

    assert len(placed) <= 2
    assert OrderItem.objects.count() == 2 * len(placed)
    assert reserved() == (2048 * len(placed), 2 * len(placed))
    for customer in customers[: 2 - len(placed)]:  # what the others returned can be sold
        assert place_order(customer, items=items(shop)).items.count() == 2


def test_orders_of_several_servers_are_canceled_at_once_without_a_deadlock(shop: Shop) -> None:
    customers = make_customers(shop, 6)
    placed = [place_order(customer, items=items(shop, "a", "b", "c")) for customer in customers]

    def cancel(order: Order) -> bool:
        try:
            return cancellation.cancel_unpaid(order=order, reason="test", at=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(cancel, placed))

    assert reserved() == (0, 0)


def test_the_same_form_of_several_servers_is_one_order_and_another_is_a_new_one(shop: Shop) -> None:
    token = uuid7()

    first = place_order(shop, token=token, items=items(shop))
    assert place_order(shop, token=token, items=items(shop)[::-1]) == first
    third = place_order(shop, token=token, items=items(shop, "first", "another"))

    assert (first.reload().status, third.status) == (OrderStatus.CANCELED, OrderStatus.PENDING_PAYMENT)
    assert reserved() == (2048, 2)


@pytest.mark.parametrize("point", ["", " #2"])
def test_what_a_killed_process_had_reserved_expires_and_the_form_can_be_sent_again(shop: Shop, point: str) -> None:
    token, at = uuid7(), timezone.now()

    def order() -> str:
        return str(place_order(shop, token=token, items=items(shop), at=at).pk)

    ended = forks.run_and_kill_at(f"commit in servers.capacity.reservations.reserve{point}", order)
    assert ended.was_killed
    assert not Order.objects.exists()
    left = 2 if point else 1
    assert reserved() == (1024 * left, left)

    again = place_order(shop, token=token, items=items(shop), at=at)
    capacity.expire_due(at=at + timedelta(hours=2))

    assert again.items.count() == 2
    assert reserved() == (0, 0)
