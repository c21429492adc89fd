"""The storefront's and the orders' pages, with good input and with forged input."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.models import Invoice, Payment
from catalog.models import AddonKind, Plan
from demo.browser import read_page
from orders.models import Order, OrderItem, OrderStatus
from servers.models import Allocation, Node, Region, Reservation
from tests.builders import make_addon, make_addon_price, make_plan, make_price, make_user
from tests.shop import (
    Clock,
    Shop,
    create_session,
    deliver_webhooks,
    form_data,
    place_order,
    run_until_idle,
)

CONFIGURE = "/products/minecraft/configure/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(shop: Shop, client: Client) -> Client:
    """The customer's browser, signed in."""
    client.force_login(shop.customer)
    return client


def order_of(client: Client, shop: Shop, **changes: Any) -> Order:
    """The order that a valid form places."""
    assert client.post(CONFIGURE, form_data(shop, **changes)).status_code == 303
    return Order.objects.latest("placed_at")


# -- the configurator ----------------------------------------------------------------------------------------------


def test_a_visitor_sees_the_price_before_signing_in(shop: Shop, client: Client) -> None:
    answer = client.get(CONFIGURE)

    assert answer.status_code == 200
    assert "$8.00" in answer.content.decode()
    assert "form_token" in answer.content.decode()


def test_htmx_gets_only_the_price(shop: Shop, client: Client) -> None:
    make_price(make_plan(shop.price.plan.product, code="mc-2gb", memory_mib=2048), minor=1600)

    answer = client.get(CONFIGURE, {"plan": "mc-2gb", "term": "monthly"}, headers=HTMX).content.decode()

    assert "$16.00" in answer
    assert "<html" not in answer
    assert "Update price" not in answer  # a script has updated it; the button would flash up


def test_without_a_script_update_price_shows_it_and_orders_nothing(shop: Shop, browser: Client) -> None:
    make_price(make_plan(shop.price.plan.product, code="mc-2gb", memory_mib=2048), minor=1600)

    answer = browser.post(CONFIGURE, form_data(shop, plan="mc-2gb", reprice="1"))

    assert answer.status_code == 200
    assert "$16.00" in answer.content.decode()
    assert not Order.objects.exists()


def test_a_visitor_who_orders_signs_up_first_and_finds_what_was_chosen_again(shop: Shop, client: Client) -> None:
    answer = client.post(CONFIGURE, form_data(shop, server_name="Ada's world"))

    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/signup/?")
    (target,) = parse_qs(urlsplit(answer["Location"]).query)["next"]
    client.force_login(shop.customer)
    page = read_page("http://testserver" + target, 200, client.get(target).content.decode())
    sent = dict(page.form_with("server_name").filled({}))
    kept = {name: sent[name] for name in ("plan", "region", "term", "server_name")}
    assert kept == {"plan": "mc-1gb", "region": shop.region.code, "term": "monthly", "server_name": "Ada's world"}
    assert not Order.objects.exists()


def test_a_customer_who_orders_is_sent_to_the_page_where_it_is_paid(shop: Shop, browser: Client) -> None:
    answer = browser.post(CONFIGURE, form_data(shop))

    order = Order.objects.get()
    assert answer.status_code == 303
    assert answer["Location"].startswith(shop.sandbox.stripe_url)
    assert order.organization == shop.organization
    assert order.items.get().server_name == "lantern-smp"


def test_the_same_form_sent_twice_leads_to_the_same_page(shop: Shop, browser: Client) -> None:
    form = form_data(shop)

    first, second = browser.post(CONFIGURE, form), browser.post(CONFIGURE, form)

    assert first["Location"] == second["Location"]
    assert Order.objects.count() == Payment.objects.count() == 1


def test_missing_capacity_is_an_error_of_the_region(shop: Shop, browser: Client) -> None:
    Node.objects.filter(location__region=shop.region).update(memory_sellable_mib=512)

    answer = browser.post(CONFIGURE, form_data(shop))

    assert answer.status_code == 422
    assert "Out of stock in this region" in answer.content.decode()
    assert list(answer.context["form"].errors) == ["region"]
    assert not Order.objects.exists()


def test_a_region_closed_meanwhile_is_an_error_of_the_region(shop: Shop, browser: Client) -> None:
    Node.objects.filter(location__region=shop.region).update(is_present=False)
    Region.objects.filter(pk=shop.region.pk).update(is_active=False)

    answer = browser.post(CONFIGURE, form_data(shop))

    assert answer.status_code == 422
    assert "Choose another region" in answer.content.decode()


def test_capacity_lost_between_page_and_submit_is_an_error_of_the_region(
    shop: Shop, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    Allocation.objects.update(is_taken_elsewhere=True)
    monkeypatch.setattr("orders.storefront.offers.Offer.is_available", lambda *_: True)  # as a moment ago

    answer = browser.post(CONFIGURE, form_data(shop))

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["region"]
    assert (Order.objects.count(), Invoice.objects.count()) == (0, 0)


def test_a_plan_that_is_sold_out_is_an_error_of_the_plan(shop: Shop, browser: Client) -> None:
    Plan.objects.update(stock=0)

    answer = browser.post(CONFIGURE, form_data(shop))

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["plan"]


def test_while_stripe_does_not_answer_the_order_is_kept_and_can_be_paid_later(shop: Shop, browser: Client) -> None:
    shop.sandbox.arm("stripe", "POST /v1/checkout/sessions", "status", status=429)

    answer = browser.post(CONFIGURE, form_data(shop))

    order = Order.objects.get()
    assert answer["Location"] == f"/orders/{order.pk}/"
    assert "Your server is reserved" in browser.get(answer["Location"]).content.decode()
    assert browser.post(f"/orders/{order.pk}/pay/")["Location"].startswith(shop.sandbox.stripe_url)


def test_an_add_on_is_charged_once_however_often_it_is_sent(shop: Shop, browser: Client) -> None:
    addon = make_addon(shop.price.plan.product, kind=AddonKind.MEMORY, quantity=1024)
    make_addon_price(addon, minor=250)

    order = order_of(browser, shop, addons=[addon.code, addon.code, addon.code])

    assert order.total_minor == 1050
    assert order.items.get().addons.count() == 1
    assert Reservation.objects.get().memory_mib == 2048


# -- bad input -----------------------------------------------------------------------------------------------------

BAD_NAMES = {
    "NUL": "a\x00b",
    "right to left": "smp\u202egnp.exe",
    "zero width": "smp\u200b\u200b",
    "HTML": "<script>alert(1)</script>",
    "template": "{{ settings.SECRET_KEY }}",
    "SQL": "x'); DROP TABLE orders_order; --",
    "newline": "a\r\nSet-Cookie: a=b",
    "path": "../../etc/passwd",
    "blank": "   ",
    "one letter": "a",
    "a megabyte": "a" * 1_000_000,
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_bad_server_name_is_refused_beside_its_field(shop: Shop, browser: Client, name: str) -> None:
    answer = browser.post(CONFIGURE, form_data(shop, server_name=name))

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["server_name"]
    assert "<script>alert(1)" not in answer.content.decode()
    assert not Order.objects.exists()


def test_a_visitor_is_told_of_a_bad_server_name_before_signing_up(shop: Shop, client: Client) -> None:
    answer = client.post(CONFIGURE, form_data(shop, server_name="!"))

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["server_name"]


def test_an_unpaid_order_says_how_long_its_server_stays_reserved(shop: Shop, browser: Client) -> None:
    order = order_of(browser, shop)

    page = browser.get(f"/orders/{order.pk}/").content.decode()

    assert re.search(r"reserved until\s*<time [^>]*data-of-device[^>]*>[^<]* UTC</time> \(\d+ minutes left\)", page)


@pytest.mark.parametrize("name", ["Ada's world", "Überleben 2.0", "テスト鯖", "lantern-smp"])
def test_usual_server_names_are_accepted(shop: Shop, browser: Client, name: str) -> None:
    assert order_of(browser, shop, server_name=name).items.get().server_name == name


def test_two_megabytes_are_not_read_at_all(shop: Shop, browser: Client) -> None:
    assert browser.post(CONFIGURE, form_data(shop, server_name="a" * 2_000_000)).status_code == 400


FORGED = {
    "plan with NUL": {"plan": "mc-1gb\x00"},
    "plan as SQL": {"plan": "' OR 1=1 --"},
    "term not sold": {"term": "yearly"},
    "term missing": {"term": ""},
    "region by id": {"region": "1"},
    "unknown add-on": {"addons": "free-everything"},
    "no token": {"form_token": ""},
    "token of another kind": {"form_token": "1 OR 1=1"},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_what_is_not_for_sale_cannot_be_ordered(shop: Shop, browser: Client, forged: dict[str, str]) -> None:
    answer = browser.post(CONFIGURE, form_data(shop, **forged))

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == list(forged)
    assert not Order.objects.exists()


def test_another_products_plan_and_add_on_cannot_be_ordered_here(shop: Shop, browser: Client) -> None:
    other = make_price(make_plan(code="vps-1gb"), minor=1)
    addon = make_addon(other.plan.product)
    make_addon_price(addon, minor=1)

    for forged in ({"plan": "vps-1gb"}, {"addons": addon.code}):
        assert browser.post(CONFIGURE, form_data(shop, **forged)).status_code == 422


def test_a_price_or_quantity_or_owner_sent_along_changes_nothing(shop: Shop, browser: Client) -> None:
    stranger = make_user("eve@example.test")
    smuggled = {"quantity": "-1", "total_minor": "1", "amount_minor": "0", "price": "1e309", "currency": "JPY"}
    smuggled |= {"organization": str(stranger.owned_organizations.get().pk), "user": str(stranger.pk), "status": "paid"}

    order = order_of(browser, shop, **smuggled)

    assert (order.total_minor, order.currency, order.status) == (800, "USD", OrderStatus.PENDING_PAYMENT)
    assert (order.organization, order.placed_by) == (shop.organization, shop.customer)
    assert order.items.count() == 1


@pytest.mark.parametrize(
    "address", ["/products/nothing/configure/", "/products/minecraft%00/configure/", "/products/../admin/configure/"]
)
def test_a_product_that_is_not_there_is_not_found(shop: Shop, browser: Client, address: str) -> None:
    assert browser.get(address).status_code == 404


@pytest.mark.parametrize("asked", ["plan=%00", "plan=%E2%80%AE", "term=%27", "addons=%3Ci%3E", "region=" + "9" * 4000])
def test_a_malformed_address_still_shows_the_form(shop: Shop, client: Client, asked: str) -> None:
    answer = client.get(f"{CONFIGURE}?{asked}")

    assert answer.status_code == 200
    assert "<i>" not in answer.content.decode()


# -- the order's own pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["pay", "cancel"])
def test_orders_are_not_changed_by_following_a_link_which_leads_to_the_order(
    shop: Shop, browser: Client, act: str
) -> None:
    order = order_of(browser, shop)

    answer = browser.get(f"/orders/{order.pk}/{act}/")

    assert (answer.status_code, answer["Location"]) == (302, f"/orders/{order.pk}/")
    assert order.reload().status == OrderStatus.PENDING_PAYMENT


def test_the_progress_page_follows_the_order_to_the_running_server(shop: Shop, browser: Client) -> None:
    clock = Clock(shop.sandbox)
    order = order_of(browser, shop)
    page = f"/orders/{order.pk}/"
    waiting = browser.get(page).content.decode()
    assert "/pay/" in waiting
    assert 'http-equiv="refresh"' in waiting

    shop.sandbox.pay(create_session(order))
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)

    done = browser.get(page).content.decode()
    server = OrderItem.objects.get().server
    assert server is not None
    assert f"/servers/{server.pk}/" in done
    assert server.address in done
    assert 'http-equiv="refresh"' not in done
    part = browser.get(page, headers=HTMX).content.decode()
    assert "<html" not in part
    assert "hx-trigger" not in part


def test_a_canceled_order_can_no_longer_be_paid(shop: Shop, browser: Client) -> None:
    order = order_of(browser, shop)

    for _twice in range(2):
        assert browser.post(f"/orders/{order.pk}/cancel/")["Location"] == f"/orders/{order.pk}/"

    assert order.reload().status == OrderStatus.CANCELED
    assert browser.post(f"/orders/{order.pk}/pay/")["Location"] == f"/orders/{order.pk}/"
    page = read_page("http://testserver/", 200, browser.get(f"/orders/{order.pk}/").content.decode())
    assert "Canceled" in page.statuses


# -- how many queries ----------------------------------------------------------------------------------------------


def queries_of(client: Client, address: str) -> int:
    """How many statements a page costs, the second time it is shown."""
    client.get(address)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_the_progress_page_costs_the_same_at_any_length_of_history(shop: Shop, browser: Client) -> None:
    clock = Clock(shop.sandbox)
    order = place_order(shop, at=clock.now)
    shop.sandbox.pay(create_session(order, at=clock.now))
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock, steps=1)
    under_way = queries_of(browser, f"/orders/{order.pk}/")
    run_until_idle(clock)

    assert order.reload().status == OrderStatus.ACTIVE
    assert queries_of(browser, f"/orders/{order.pk}/") == under_way
    assert under_way <= 20
