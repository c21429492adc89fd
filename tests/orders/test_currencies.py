"""Visitors choose among the currencies that have prices; an organization's first order chooses for good."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import Client

from accounts.models import Organization
from accounts.services import CurrencyFixed
from billing.models import GatewayAccount
from catalog.models import PlanPrice
from core.money import Money
from orders.models import Order
from tests.builders import make_price
from tests.shop import Clock, Shop, allow_unpaid_orders, form_data, place_order

PRODUCTS, PRODUCT, CONFIGURE = "/products/", "/products/minecraft/", "/products/minecraft/configure/"


@pytest.fixture(autouse=True)
def other_prices(shop: Shop) -> None:
    """The plan costs Rp 150.000 and ¥1,200 too."""
    make_price(shop.price.plan, minor=15_000_000, currency="IDR")
    make_price(shop.price.plan, minor=1200, currency="JPY")
    GatewayAccount.objects.update(currencies=[])


def test_a_visitor_chooses_a_currency_by_a_link_and_sees_whole_rupiah_and_yen(shop: Shop, client: Client) -> None:
    links = client.get(PRODUCT).content.decode()
    assert "/currency/?code=IDR&amp;next=/products/minecraft/" in links
    for code, text in (("IDR", "Rp\xa0150.000"), ("JPY", "¥1,200"), ("USD", "$8.00")):
        answer = client.get("/currency/", {"code": code, "next": PRODUCT})
        assert answer["Location"] == PRODUCT
        for path in ("/", PRODUCTS, PRODUCT, CONFIGURE):
            page = client.get(path).content.decode()
            assert f"<b>{text}</b>" in page, (code, path)
            assert "150.000,00" not in page


def test_a_link_to_another_site_or_currency_changes_nothing(shop: Shop, client: Client) -> None:
    for link in ({"code": "EUR", "next": "//evil.example/"}, {"code": "xx", "next": "https://evil.example/"}, {}):
        answer = client.get("/currency/", link)
        assert answer["Location"] == PRODUCTS
        assert "currency" not in answer.cookies


def test_a_currency_in_which_nothing_is_sold_any_more_shows_the_shops(shop: Shop, client: Client) -> None:
    client.cookies["currency"] = "KWD"

    assert "<b>$8.00</b>" in client.get(PRODUCT).content.decode()
    assert "<b>$8.00</b>" in client.get(PRODUCTS).content.decode()


def test_the_first_order_chooses_the_currency_for_good(shop: Shop, client: Client, clock: Clock) -> None:
    allow_unpaid_orders()
    client.force_login(shop.customer)
    client.cookies["currency"] = "JPY"

    first = client.post(CONFIGURE, form_data(shop))
    client.cookies["currency"] = "IDR"
    page = client.get(CONFIGURE).content.decode()

    assert first.status_code == 303
    assert Order.objects.get().total == Money(1200, "JPY")
    assert Organization.objects.get(pk=shop.organization.pk).currency == "JPY"
    assert "¥1,200" in page
    assert "/currency/?code=" not in page
    with pytest.raises(CurrencyFixed):
        place_order(shop, at=clock.now)


def test_of_two_first_orders_at_once_one_chooses_the_currency(shop: Shop, clock: Clock) -> None:
    allow_unpaid_orders()
    prices = list(PlanPrice.objects.filter(currency__in=["USD", "JPY"]).select_related("plan__product"))

    def attempt(price: PlanPrice) -> str:
        try:
            place_order(shop, at=clock.now, plan_price=price)
        except CurrencyFixed:
            return "refused"
        finally:
            connection.close()
        return "placed"

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(attempt, prices)) == ["placed", "refused"]
    assert Order.objects.get().currency == Organization.objects.get(pk=shop.organization.pk).currency
