"""The cart: several configured servers, ordered and paid at once."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import Payment
from catalog.models import Coupon, Plan, PlanPrice
from core.ids import uuid7
from core.money import Money
from demo.browser import read_page
from orders.models import CouponRedemption, Order, OrderStatus
from servers.models import Node, Region, Reservation, ReservationState, Server, ServerStatus
from tests.billing.test_tax import set_up_shop
from tests.builders import make_plan, make_price
from tests.orders.test_another_choice import raise_price
from tests.orders.test_coupons import make_coupon
from tests.shop import Clock, Shop, allow_unpaid_orders, deliver_webhooks, form_data, make_customer, run_until_idle

CART, CHANGE = "/cart/", "/cart/change/"
CONFIGURE = "/products/minecraft/configure/"


@pytest.fixture
def larger(shop: Shop) -> PlanPrice:
    price = make_price(make_plan(shop.price.plan.product, code="mc-2gb", name="2 GB", memory_mib=2048), minor=1600)
    return PlanPrice.objects.select_related("plan__product").get(pk=price.pk)


@pytest.fixture
def browser(shop: Shop, client: Client) -> Client:
    allow_unpaid_orders()
    client.force_login(shop.customer)
    return client


def add(browser: Client, shop: Shop, **changes: Any) -> None:
    answer = browser.post(CONFIGURE, form_data(shop, **changes) | {"add_to_cart": "1"})
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, CART)


def opened(browser: Client, query: str = "") -> dict[str, Any]:
    """The cart's form as the page has it."""
    page = read_page("http://testserver" + CART, 200, browser.get(CART + query).content.decode())
    return dict(page.form_with("form_token").filled({}))


def keys(browser: Client) -> list[str]:
    return [row.item.line.key for row in browser.get(CART).context["rows"]]


def problems(answer: Any) -> list[list[str]]:
    """What the page says beside each of its lines."""
    assert answer.status_code == 422
    assert not Reservation.objects.filter(state=ReservationState.RESERVED).exists()
    assert not Payment.objects.exists()
    return [row.item.problems for row in answer.context["rows"]]


def test_a_visitor_fills_a_cart_signs_in_and_pays_once_for_a_server_of_each_piece(
    shop: Shop, larger: PlanPrice, client: Client
) -> None:
    allow_unpaid_orders()
    set_up_shop()
    make_coupon()
    clock = Clock(shop.sandbox)
    add(client, shop, coupon="WELCOME10")
    add(client, shop, plan="mc-2gb", server_name="atlas")
    first = keys(client)[0]
    assert client.post(CHANGE, {f"{first}-quantity": "2", f"{keys(client)[1]}-quantity": "1"})["Location"] == f"{CART}?"
    sent_away = client.post(CART, opened(client, "?coupon=WELCOME10"))
    assert sent_away["Location"].startswith("/accounts/signup/?next=%2Fcart%2F%3Fcoupon%3DWELCOME10")
    client.force_login(shop.customer)
    page = client.get(CART, {"coupon": "WELCOME10"})
    # 8.00 twice and 16.00, less ten percent, with 19 % tax; each line with its own share of it.
    assert page.context["quote"].due_today == Money(3427, "USD")
    assert [row.total for row in page.context["rows"]] == [Money(1713, "USD"), Money(1714, "USD")]

    answer = client.post(CART, opened(client, "?coupon=WELCOME10"))

    order = Order.objects.get()
    assert order.total_minor == 3427
    assert answer["Location"].startswith(shop.sandbox.stripe_url)
    assert client.cookies["cart"].value == ""
    shop.sandbox.pay(answer["Location"])
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    assert order.reload().status == OrderStatus.ACTIVE
    names = ["atlas", "lantern-smp", "lantern-smp 2"]
    assert list(Server.objects.order_by("name").values_list("name", "status")) == [
        (name, ServerStatus.RUNNING) for name in names
    ]
    assert [payment.received for payment in Payment.objects.all()] == [Money(3427, "USD")]


def test_a_cart_sent_from_two_tabs_is_one_order(shop: Shop, browser: Client) -> None:
    add(browser, shop)
    form, cookie = opened(browser), browser.cookies["cart"].value
    first = browser.post(CART, form)
    after = browser.post(CART, form)
    browser.cookies["cart"] = cookie

    again = browser.post(CART, form)

    order = Order.objects.get()
    assert after["Location"] == f"/orders/{order.pk}/"
    assert first["Location"] == again["Location"]
    assert browser.post(CART, form | {"form_token": str(uuid7())})["Location"] == CART


def test_what_is_not_there_any_more_is_named_and_nothing_else_stays_reserved(
    shop: Shop, larger: PlanPrice, browser: Client
) -> None:
    add(browser, shop)
    add(browser, shop, plan="mc-2gb", server_name="atlas")
    Plan.objects.filter(code="mc-2gb").update(stock=1)
    browser.post(CHANGE, {f"{key}-quantity": quantity for key, quantity in zip(keys(browser), "12", strict=True)})

    sold_out = browser.post(CART, opened(browser))
    Plan.objects.filter(code="mc-2gb").update(stock=None)
    Node.objects.update(memory_sellable_mib=0)
    first_node = Node.objects.filter(location__region=shop.region).order_by("pk").values_list("pk", flat=True)[0]
    Node.objects.filter(pk=first_node).update(memory_sellable_mib=3072)
    no_memory = browser.post(CART, opened(browser))

    assert problems(sold_out) == [[], ["This plan is out of stock."]]
    assert problems(no_memory) == [[], ["Out of stock in this region. Choose another region or a smaller plan."]]
    assert "Nothing was ordered or charged" in no_memory.content.decode()
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 0
    Plan.objects.filter(code="mc-2gb").update(is_active=False)
    assert "no longer sold" in problems(browser.post(CART, opened(browser)))[1][0]


def test_a_quantity_out_of_bounds_is_refused_beside_its_field(shop: Shop, browser: Client) -> None:
    add(browser, shop)
    (key,) = keys(browser)

    for quantity in ("-1", "0", "11", "9" * 20, "1.5", "", "two"):
        answer = browser.post(CHANGE, {f"{key}-quantity": quantity, "coupon": "WELCOME"})
        (row,) = answer.context["rows"]
        assert answer.status_code == 422, quantity
        assert row.item.quantity_form.errors["quantity"] == ["Enter a number from 1 to 10."], quantity
    assert opened(browser)[f"{key}-quantity"] == "1"
    assert browser.post(CHANGE, {"remove": key})["Location"] == f"{CART}?"
    assert "Your cart is empty" in browser.get(CART).content.decode()


def test_prices_and_tax_that_rose_since_the_cart_was_opened_are_shown_first(shop: Shop, browser: Client) -> None:
    add(browser, shop)
    form = opened(browser)
    raise_price(shop.price.plan, 900)

    dearer = browser.post(CART, form)
    form = opened(browser)
    set_up_shop()
    taxed = browser.post(CART, form)

    assert "has changed from $8.00 to $9.00 / month" in problems(dearer)[0][0]
    assert problems(taxed) == [[]]
    assert "The total has changed with your tax." in taxed.content.decode()
    assert browser.post(CART, opened(browser))["Location"].startswith(shop.sandbox.stripe_url)


def test_a_cart_is_refused_with_another_customers_coupon_in_another_currency_and_beyond_the_limit(
    shop: Shop, browser: Client
) -> None:
    add(browser, shop)
    coupon: Coupon = make_coupon()
    coupon.organizations.add(make_customer("eve@example.test").owned_organizations.get())
    assert "This coupon is for another customer." in str(
        browser.post(CART, opened(browser) | {"coupon": "WELCOME10"}).context["form"].errors
    )
    make_price(shop.price.plan, minor=700, currency="EUR")
    browser.cookies["currency"] = "EUR"
    assert opened(browser)["shown_total"] == "700"
    shop.organization.currency_fixed_at = timezone.now()
    shop.organization.save(update_fields=["currency_fixed_at"])
    assert opened(browser)["shown_total"] == "800"
    assert not CouponRedemption.objects.exists()


def test_a_new_customer_is_told_how_many_servers_the_shop_reserves_unpaid(shop: Shop, client: Client) -> None:
    client.force_login(shop.customer)
    add(client, shop)
    client.post(CHANGE, {f"{keys(client)[0]}-quantity": "3"})

    answer = client.post(CART, opened(client))

    assert problems(answer) == [[]]
    assert (
        "You can order 2 servers at a time until you have paid for one or topped up your wallet."
        in answer.content.decode()
    )


def test_a_line_is_changed_in_the_configurator_and_a_cookie_that_is_not_ours_is_an_empty_cart(
    shop: Shop, larger: PlanPrice, browser: Client
) -> None:
    add(browser, shop)
    (key,) = keys(browser)
    page = browser.get(f"{CONFIGURE}?plan=mc-1gb&line={key}")
    assert f'name="line" value="{key}"' in page.content.decode()
    add(browser, shop, plan="mc-2gb", server_name="atlas", line=key)
    (row,) = browser.get(CART).context["rows"]
    assert (row.item.line.key, row.item.name) == (key, "atlas · Minecraft 2 GB")
    region = Region.objects.get(pk=shop.region.pk)
    assert row.item.details == f"{region} · Monthly"
    for number in range(30):  # until no cookie holds more
        answer = browser.post(CONFIGURE, form_data(shop, server_name=f"smp-{number}") | {"add_to_cart": "1"})
        if answer.status_code == 422:
            break
    assert "Your cart is full." in answer.content.decode()
    browser.cookies["cart"] = "forged"
    assert "Your cart is empty" in browser.get(CART).content.decode()
