"""Placing an order: all or nothing, once, and only with enough capacity."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from billing import gateway_accounts, payments
from billing.gateways.base import driver_for
from billing.models import Invoice, InvoiceState, Payment, Subscription, SubscriptionStatus
from catalog.models import Plan
from catalog.services import SoldOut
from core.ids import uuid7
from orders import cancellation, paying
from orders.models import Order, OrderStatus
from servers.capacity import InsufficientCapacity
from servers.models import Node, Reservation, ReservationState
from tests.shop import Shop, make_customers, place_order


def reserved_mib() -> int:
    return sum(Node.objects.values_list("memory_reserved_mib", flat=True))


def test_an_order_reserves_capacity_and_writes_down_what_was_sold(shop: Shop) -> None:
    order = place_order(shop)

    item = order.items.get()
    assert order.status == OrderStatus.PENDING_PAYMENT
    assert order.total_minor == 800
    assert item.reservation is not None
    assert item.reservation.state == ReservationState.RESERVED
    assert reserved_mib() == 1024
    assert item.subscription.status == SubscriptionStatus.PENDING
    assert order.invoice.number is None
    assert order.invoice.items.get().description == "lantern-smp · Minecraft 1 GB"
    assert [change.new for change in order.changes.all()] == [OrderStatus.PENDING_PAYMENT]
    assert order.invoice.payments.get().amount_minor == 800


def test_the_same_form_sent_by_eight_tabs_at_once_is_one_order(shop: Shop) -> None:
    token = uuid7()

    def submit(_: int) -> object:
        try:
            return place_order(shop, token=token).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as tabs:
        orders = set(tabs.map(submit, range(8)))

    assert len(orders) == 1
    assert Reservation.objects.count() == 1
    assert Payment.objects.count() == 1
    assert reserved_mib() == 1024


def test_without_capacity_nothing_at_all_is_written(shop: Shop) -> None:
    Node.objects.update(memory_sellable_mib=512)

    with pytest.raises(InsufficientCapacity):
        place_order(shop)

    assert (Order.objects.count(), Invoice.objects.count(), Subscription.objects.count()) == (0, 0, 0)


def test_the_last_piece_of_stock_is_sold_once_to_many_buyers(shop: Shop) -> None:
    Plan.objects.update(stock=1)
    customers = make_customers(shop, 10)

    def buy(number: int) -> bool:
        try:
            place_order(customers[number % 10])
        except SoldOut:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(10) as buyers:
        sold = sum(buyers.map(buy, range(50)))

    assert sold == 1
    assert Plan.objects.get().stock == 0
    assert reserved_mib() == 1024


def test_an_unpaid_order_is_canceled_in_time_and_releases_everything(shop: Shop) -> None:
    Plan.objects.update(stock=3)
    order = place_order(shop)
    Payment.objects.update(state="expired")

    assert cancellation.cancel_expired(at=order.expires_at + timedelta(seconds=1)) == 1

    order = order.reload()
    assert order.status == OrderStatus.CANCELED
    assert order.invoice.state == InvoiceState.EXPIRED
    assert reserved_mib() == 0
    assert Plan.objects.get().stock == 3
    assert order.items.get().subscription.status == SubscriptionStatus.CANCELED


def test_an_order_whose_checkout_session_is_open_is_not_canceled_by_the_clock(shop: Shop) -> None:
    order = place_order(shop)

    assert cancellation.cancel_expired(at=order.expires_at + timedelta(seconds=1)) == 0
    assert order.reload().status == OrderStatus.PENDING_PAYMENT


def test_canceling_twice_releases_the_capacity_once(shop: Shop) -> None:
    first, second = place_order(shop), place_order(shop)

    for _ in range(2):
        cancellation.cancel_unpaid(order=first, reason="changed my mind", actor=shop.customer, at=timezone.now())

    assert reserved_mib() == 1024
    assert second.reload().status == OrderStatus.PENDING_PAYMENT


def test_a_price_raised_after_ordering_does_not_change_the_order(shop: Shop) -> None:
    from catalog import services as catalog
    from catalog.models import Term
    from core.money import Money

    order = place_order(shop)
    catalog.offer_price(
        item=shop.price.plan, term=Term.MONTHLY, amount=Money(9900, "USD"), actor="test", at=timezone.now()
    )

    assert order.reload().total_minor == 800
    assert order.items.get().subscription.amount_minor == 800


def test_the_gateways_keys_are_read_before_anything_is_locked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    place_order(shop)  # the account has taken a payment, so its mode is known
    locking: list[str] = []
    read_after: list[int] = []

    def watch(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(("INSERT", "UPDATE")) or " FOR NO KEY UPDATE" in sql or "advisory" in sql:
            locking.append(sql)
        return execute(sql, *arguments)

    def read(account: Any) -> Any:
        read_after.append(len(locking))
        return driver_for(account)

    monkeypatch.setattr(gateway_accounts, "driver_for", read)
    with connection.execute_wrapper(watch):
        order = place_order(shop)
    assert locking
    assert set(read_after) == {0}

    payments.fail(payment_id=order.invoice.payments.get().pk, reason="declined", at=timezone.now())
    locking.clear()
    read_after.clear()
    with connection.execute_wrapper(watch):
        paying.reopen_payment(order=order, at=timezone.now())
    assert locking
    assert set(read_after) == {0}
