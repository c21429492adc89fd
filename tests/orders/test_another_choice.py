"""The same form sent again with another choice, and a price that rose while the form was open."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from catalog import services as catalog
from catalog.models import AddonKind, AddonPrice, Plan, PlanPrice, Term
from core.ids import uuid7
from core.money import Money
from demo.browser import Page, read_page
from orders.models import Order, OrderStatus
from servers.models import Node
from tests.builders import make_addon, make_addon_price, make_plan, make_price
from tests.shop import Clock, Shop, place_order, run_once

CONFIGURE = "/products/minecraft/configure/"


@pytest.fixture
def larger(shop: Shop) -> PlanPrice:
    price = make_price(make_plan(shop.price.plan.product, code="mc-2gb", memory_mib=2048), minor=1600)
    return PlanPrice.objects.select_related("plan__product").get(pk=price.pk)


@pytest.fixture
def browser(shop: Shop, client: Client) -> Client:
    client.force_login(shop.customer)
    return client


def opened(browser: Client, query: str = "") -> dict[str, Any]:
    """The configurator's form as the page has it, with a name typed in."""
    return sent_by(read_page("http://testserver" + CONFIGURE, 200, browser.get(CONFIGURE + query).content.decode()))


def sent_by(page: Page) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in page.form_with("server_name").filled({"server_name": "lantern-smp"}):
        values.setdefault(name, []).append(value)
    return values


def raise_price(item: Any, minor: int) -> None:
    catalog.offer_price(item=item, term=Term.MONTHLY, amount=Money(minor, "USD"), actor="test", at=timezone.now())


def reserved_mib() -> int:
    return sum(Node.objects.values_list("memory_reserved_mib", flat=True))


def test_going_back_and_choosing_another_plan_buys_that_plan_and_releases_the_first(
    shop: Shop, larger: PlanPrice, browser: Client
) -> None:
    form = opened(browser)
    clock = Clock(shop.sandbox)
    first_page = browser.post(CONFIGURE, form)["Location"]

    second_page = browser.post(CONFIGURE, form | {"plan": "mc-2gb"})["Location"]

    first, second = Order.objects.order_by("placed_at")
    assert first_page != second_page
    assert (first.status, second.status) == (OrderStatus.CANCELED, OrderStatus.PENDING_PAYMENT)
    assert second.total_minor == 1600
    assert reserved_mib() == 2048
    run_once(clock.pass_by(timedelta(minutes=1)))
    sessions = shop.sandbox.stripe_state()["checkout.session"]
    assert {session["amount_total"]: session["status"] for session in sessions} == {800: "expired", 1600: "open"}
    assert browser.post(CONFIGURE, form | {"plan": "mc-2gb"})["Location"] == second_page


def test_a_paid_order_stays_when_its_form_orders_something_else(shop: Shop, larger: PlanPrice) -> None:
    token = uuid7()
    paid = place_order(shop, token=token)
    Order.objects.filter(pk=paid.pk).update(status=OrderStatus.PAID, paid_at=timezone.now())

    another = place_order(shop, token=token, plan_price=larger)

    assert another.pk != paid.pk
    assert paid.reload().status == OrderStatus.PAID


def test_a_form_whose_order_was_canceled_orders_anew(shop: Shop) -> None:
    token = uuid7()
    first = place_order(shop, token=token)
    Order.objects.filter(pk=first.pk).update(status=OrderStatus.CANCELED)

    assert place_order(shop, token=token).pk != first.pk


def test_two_choices_of_one_form_at_once_leave_one_order_and_never_deadlock(shop: Shop, larger: PlanPrice) -> None:
    token = uuid7()

    def submit(number: int) -> object:
        try:
            return place_order(shop, token=token, plan_price=larger if number % 2 else shop.price).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as tabs:
        list(tabs.map(submit, range(24)))

    order = Order.objects.get(status=OrderStatus.PENDING_PAYMENT)
    assert reserved_mib() == order.items.get().plan_price.plan.memory_mib


def test_a_price_raised_while_the_form_was_open_is_shown_and_confirmed(shop: Shop, browser: Client) -> None:
    form = opened(browser)
    raise_price(shop.price.plan, 900)

    answer = browser.post(CONFIGURE, form)

    assert answer.status_code == 422
    assert not Order.objects.exists()
    (message,) = answer.context["form"].errors["plan"]
    assert "from $8.00 to $9.00 / month" in message
    page = read_page("http://testserver" + CONFIGURE, 422, answer.content.decode())
    assert dict(page.form_with("server_name").filled({}))["server_name"] == "lantern-smp"
    assert browser.post(CONFIGURE, sent_by(page)).status_code == 303
    assert Order.objects.get().total_minor == 900


def test_an_add_ons_raised_price_is_shown_beside_the_add_ons(shop: Shop, browser: Client) -> None:
    addon = make_addon(shop.price.plan.product, kind=AddonKind.MEMORY, quantity=1024)
    make_addon_price(addon, minor=250)
    form = opened(browser, f"?addons={addon.code}")
    raise_price(addon, 300)

    answer = browser.post(CONFIGURE, form)

    assert list(answer.context["form"].errors) == ["addons"]
    assert AddonPrice.objects.count() == 2


def test_a_price_that_fell_is_taken_at_once(shop: Shop, browser: Client) -> None:
    form = opened(browser)
    raise_price(shop.price.plan, 700)

    assert browser.post(CONFIGURE, form).status_code == 303
    assert Order.objects.get().total_minor == 700


def test_prices_in_another_currency_than_the_page_showed_are_confirmed(shop: Shop, browser: Client) -> None:
    make_price(Plan.objects.get(), minor=100, currency="EUR")
    form = opened(browser)
    shop.organization.currency = "EUR"
    shop.organization.save()

    answer = browser.post(CONFIGURE, form)

    assert answer.status_code == 422
    assert "€1.00" in answer.content.decode()
