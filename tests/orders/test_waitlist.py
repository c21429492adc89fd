"""The waitlist: what comes free of a plan in a region is reserved for the first who waits, once, and for a set time."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from catalog.models import Plan
from orders import cancellation, placement
from orders.models import OrderItem, WaitlistEntry
from orders.waitlist import entries, offering
from orders.waitlist.models import WaitlistStatus
from servers.models import Node, Reservation, ReservationState
from tests.orders.test_coupons import make_coupon, use_of
from tests.shop import Shop, allow_unpaid_orders, form_data, make_customers, make_priced_plan, place_order, run_once
from tests.threads import run_at_once

CONFIGURE = reverse("storefront:configure", kwargs={"slug": "minecraft"})
PAGE = reverse("orders:waitlist")
DAY = timedelta(hours=24)


def sell_out(shop: Shop) -> None:
    """Nothing is left in the region."""
    Node.objects.filter(location__region=shop.region).update(memory_sellable_mib=0)


def bring_back(shop: Shop, *, servers: int = 1) -> None:
    """Capacity for so many more servers than are reserved."""
    nodes = Node.objects.filter(location__region=shop.region)
    reserved = sum(Reservation.objects.exclude(state="released").values_list("memory_mib", flat=True))
    nodes.filter(pk=nodes.order_by("name")[0].pk).update(memory_sellable_mib=reserved + 1024 * servers)


def join(shop: Shop) -> WaitlistEntry:
    """The customer waits for the shop's plan."""
    return entries.join(
        organization=shop.organization,
        plan=shop.price.plan,
        region=shop.region,
        actor=shop.customer,
        at=timezone.now(),
    )


def statuses(*waiting: WaitlistEntry) -> list[str]:
    return [entry.reload().status for entry in waiting]


def client_of(shop: Shop) -> Client:
    """A browser with the customer signed in."""
    browser = Client()
    browser.force_login(shop.customer)
    return browser


@pytest.fixture
def line(shop: Shop) -> list[Shop]:
    """Three customers of a shop that is sold out."""
    allow_unpaid_orders()
    sell_out(shop)
    return make_customers(shop, 3)


def test_what_comes_back_is_reserved_for_the_first_who_orders_that_very_reservation(line: list[Shop]) -> None:
    first, second = join(line[0]), join(line[1])
    assert offering.advance(at=timezone.now()) == 0
    bring_back(line[0])

    assert offering.advance(at=timezone.now()) == 1

    assert statuses(first, second) == [WaitlistStatus.OFFERED, WaitlistStatus.WAITING]
    run_once(timezone.now())
    assert [message.to for message in mail.outbox] == [[line[0].customer.email]]
    link = next(word for word in mail.outbox[0].body.split() if "/configure/" in word)
    page = client_of(line[0]).get(urlsplit(link)._replace(scheme="", netloc="").geturl())
    assert not page.context["is_sold_out"]
    for customer in line[1:]:
        with pytest.raises(placement.ItemOutOfStock):
            place_order(customer)
    order = place_order(line[0])
    assert order.items.get().reservation_id == first.reload().reservation_id
    assert statuses(first) == [WaitlistStatus.ORDERED]
    assert offering.advance(at=timezone.now() + 2 * DAY) == 0
    assert Reservation.objects.get().state == ReservationState.RESERVED


def test_what_nobody_orders_in_time_is_for_the_next(line: list[Shop]) -> None:
    Plan.objects.update(stock=0)
    first, second = join(line[0]), join(line[1])
    Plan.objects.update(stock=1)
    bring_back(line[0])
    now = timezone.now()
    offering.advance(at=now)
    assert Plan.objects.get().stock == 0

    assert offering.advance(at=now + DAY - timedelta(seconds=1)) == 0
    assert offering.advance(at=now + DAY) == 1

    assert statuses(first, second) == [WaitlistStatus.EXPIRED, WaitlistStatus.OFFERED]
    assert [row.state for row in Reservation.objects.order_by("created_at")] == ["released", "reserved"]
    assert Plan.objects.get().stock == 0
    with pytest.raises(placement.ItemOutOfStock):  # its page was open all the time
        place_order(line[0])
    assert place_order(line[1]).items.get().is_stock_taken


def test_leaving_lets_the_next_come(line: list[Shop]) -> None:
    first, second = join(line[0]), join(line[1])
    bring_back(line[0])
    offering.advance(at=timezone.now())

    for _again in range(2):
        entries.leave(entry=first, actor=line[0].customer, at=timezone.now())
    assert offering.advance(at=timezone.now()) == 1

    assert statuses(first, second) == [WaitlistStatus.LEFT, WaitlistStatus.OFFERED]
    assert join(line[0]).pk != first.pk


def test_who_cancels_the_order_still_has_the_reservation(line: list[Shop]) -> None:
    first = join(line[0])
    join(line[1])
    bring_back(line[0])
    offering.advance(at=timezone.now())
    order = place_order(line[0])

    assert cancellation.cancel_unpaid(order=order, reason="test", actor=line[0].customer, at=timezone.now())

    assert statuses(first) == [WaitlistStatus.OFFERED]
    assert place_order(line[0]).items.get().reservation_id == first.reload().reservation_id
    late = OrderItem.objects.filter(order=order).get()
    assert late.reservation is None


def test_an_order_locks_what_was_reserved_for_it_before_its_coupon(line: list[Shop]) -> None:
    join(line[0])
    bring_back(line[0])
    offering.advance(at=timezone.now())
    make_coupon()
    use = use_of(line[0])

    with CaptureQueriesContext(connection) as queries:
        place_order(line[0], coupon_use=use)

    locks = [each["sql"] for each in queries if "FOR NO KEY UPDATE" in each["sql"]]
    tables = [name for sql in locks for name in ("orders_waitlistentry", "catalog_coupon") if f'FROM "{name}"' in sql]
    assert tables == ["orders_waitlistentry", "catalog_coupon"]  # as in ARCHITECTURE.md


def test_an_order_that_fails_leaves_the_reservation(line: list[Shop], monkeypatch: pytest.MonkeyPatch) -> None:
    first = join(line[0])
    bring_back(line[0])
    offering.advance(at=timezone.now())
    monkeypatch.setattr(placement, "write_order", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        place_order(line[0])

    assert statuses(first) == [WaitlistStatus.OFFERED]
    assert Reservation.objects.get().state == ReservationState.RESERVED


def test_a_second_tab_that_comes_too_late_leaves_the_first_ones_reservation(
    line: list[Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = join(line[0])
    bring_back(line[0])
    offering.advance(at=timezone.now())
    reserve_items = placement.reserve_items

    def before_the_other_tab(*args: Any) -> Any:
        reserved = reserve_items(*args)
        monkeypatch.setattr(placement, "reserve_items", reserve_items)
        place_order(line[0])
        return reserved

    monkeypatch.setattr(placement, "reserve_items", before_the_other_tab)
    with pytest.raises(placement.ItemOutOfStock):
        place_order(line[0])

    assert OrderItem.objects.get().reservation_id == entry.reload().reservation_id
    assert Reservation.objects.get().state == ReservationState.RESERVED


def test_workers_at_once_neither_oversell_nor_reserve_twice_nor_skip(shop: Shop) -> None:
    sell_out(shop)
    waiting = [join(customer) for customer in make_customers(shop, 5)]
    bring_back(shop, servers=2)

    def advance() -> None:
        for _time in range(3):
            offering.advance(at=timezone.now())

    assert run_at_once(advance, times=4) == []

    assert statuses(*waiting) == [WaitlistStatus.OFFERED] * 2 + [WaitlistStatus.WAITING] * 3
    assert Reservation.objects.count() == 2
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 2048


def test_ordering_and_the_end_of_the_time_at_once_leave_one_of_them(line: list[Shop]) -> None:
    entry = join(line[0])
    bring_back(line[0])
    offering.advance(at=timezone.now())
    entry = entry.reload()
    assert entry.expires_at is not None
    acts: Iterator[Callable[[], object]] = iter(
        [
            partial(place_order, line[0], at=entry.expires_at - timedelta(seconds=1)),
            partial(offering.expire, entry.pk, entry.expires_at),
        ]
    )

    errors = run_at_once(lambda: next(acts)(), times=2)

    is_ordered = not errors
    assert all(isinstance(error, placement.ItemOutOfStock) for error in errors)
    states = set(Reservation.objects.exclude(state="released").values_list("pk", flat=True))
    assert states == set(OrderItem.objects.values_list("reservation_id", flat=True))
    assert len(states) == is_ordered
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 1024 * is_ordered


def test_joining_at_once_is_one_entry(line: list[Shop]) -> None:
    assert run_at_once(partial(join, line[0]), times=4) == []
    assert WaitlistEntry.objects.count() == 1


def test_who_never_paid_waits_for_little(shop: Shop) -> None:
    sell_out(shop)
    join(shop)
    for memory_mib in (2048, 4096):
        larger = replace(shop, price=make_priced_plan(code=f"mc-{memory_mib}", memory_mib=memory_mib))
        if memory_mib == 2048:
            join(larger)
    with pytest.raises(entries.TooManyEntries, match="2 waitlists"):
        join(larger)


def test_who_gives_up_what_was_reserved_and_joins_again_keeps_it_from_nobody(shop: Shop) -> None:
    at = timezone.now()
    named: dict[str, Any] = {"organization": shop.organization, "plan": shop.price.plan, "region": shop.region}

    def join_and_leave_in_time() -> None:
        nonlocal at
        entry = entries.join(**named, actor=shop.customer, at=at)
        assert offering.advance(at=at) == 1
        expires_at = entry.reload().expires_at
        assert expires_at is not None
        at = expires_at - timedelta(minutes=1)
        entries.leave(entry=entry, actor=shop.customer, at=at)

    join_and_leave_in_time()
    join_and_leave_in_time()
    with pytest.raises(entries.TooManyEntries):
        join_and_leave_in_time()
    at += DAY * 2
    join_and_leave_in_time()


def test_the_page_shows_the_position_and_lets_one_leave(line: list[Shop]) -> None:
    join(line[1])
    browser, other = client_of(line[0]), client_of(line[1])
    sold_out = browser.get(CONFIGURE, {"region": line[0].region.code})
    assert "Join the waitlist" in sold_out.content.decode()
    assert "Continue to payment" not in sold_out.content.decode()

    answer = browser.post(CONFIGURE, form_data(line[0], join_waitlist="1"), follow=True)

    assert answer.redirect_chain[-1][0] == PAGE
    assert "You are number 2 on the waitlist" in answer.content.decode()
    entry = WaitlistEntry.objects.get(organization=line[0].organization)
    leave = reverse("orders:leave_waitlist", args=[entry.pk])
    assert other.post(leave).status_code == 404
    assert str(entry.pk) not in other.get(PAGE).content.decode()
    browser.post(leave)
    assert statuses(entry) == [WaitlistStatus.LEFT]


def test_nobody_joins_unseen_or_for_what_is_there(shop: Shop) -> None:
    sent = form_data(shop, join_waitlist="1")
    assert "/signup/" in Client().post(CONFIGURE, sent)["Location"]
    browser = client_of(shop)
    assert browser.post(CONFIGURE, sent)["Location"].startswith(CONFIGURE)
    for wrong in ({"plan": "none"}, {"region": "none"}):
        assert browser.post(CONFIGURE, form_data(shop, join_waitlist="1", **wrong)).status_code == 302
    assert not WaitlistEntry.objects.exists()
