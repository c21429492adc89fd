"""What each billing cycle costs, what that is a month, and what it saves, before it is chosen."""

import re

import pytest
from django.test import Client
from django.utils.html import strip_tags

from catalog.models import Term
from core.money import Money
from orders.storefront.offers import per_month, saving_text
from tests.builders import make_addon, make_addon_price, make_plan, make_price
from tests.shop import Shop, form_data


@pytest.mark.parametrize(
    ("monthly", "price", "months", "saving", "a_month"),
    [
        (Money(800, "USD"), Money(8000, "USD"), 12, "2 months free", "$6.67"),
        (Money(800, "USD"), Money(2280, "USD"), 3, "save 5%", "$7.60"),
        (Money(800, "USD"), Money(4000, "USD"), 6, "1 month free", "$6.67"),
        (Money(800, "USD"), Money(2400, "USD"), 3, "", "$8.00"),
        (Money(800, "USD"), Money(2390, "USD"), 3, "", "$7.97"),  # not one percent
        (Money(5_000_000, "IDR"), Money(50_000_000, "IDR"), 12, "2 months free", "Rp\xa041.667"),
        (Money(1000, "JPY"), Money(2500, "JPY"), 3, "save 16%", "¥833"),
    ],
)
def test_a_longer_term_says_what_it_saves(monthly: Money, price: Money, months: int, saving: str, a_month: str) -> None:
    assert saving_text(monthly, price, months) == saving
    assert str(per_month(price, months)) == a_month


def test_every_term_shows_its_price_before_it_is_chosen_and_an_add_on_its_period(shop: Shop, client: Client) -> None:
    make_price(shop.price.plan, minor=8000, term=Term.YEARLY)
    make_addon_price(make_addon(shop.price.plan.product, name="1 GB more"))

    page = client.get("/products/minecraft/configure/").content.decode()
    partial = client.get("/products/minecraft/configure/", {"term": "yearly"}, headers={"HX-Request": "true"})

    shown = " ".join(strip_tags(page).split())
    assert "Yearly $80.00 / year · $6.67 / month · 2 months free" in shown
    assert "Monthly $8.00 / month" in shown
    assert "1 GB more (+$2.50 / month)" in shown
    assert "2 months free" in partial.content.decode()


def test_only_billing_cycles_of_the_plan_can_be_chosen_and_another_plan_brings_its_own(
    shop: Shop, client: Client
) -> None:
    make_price(make_plan(shop.price.plan.product, name="hourly", code="by-hour"), minor=2, term=Term.HOURLY)
    disabled = re.compile(r'value="(\w+)"[^>]* disabled')
    checked = re.compile(r'name="term" value="(\w+)"[^>]* checked')
    path, both = "/products/minecraft/configure/", {"term": "hourly"}

    monthly = client.get(path, both | {"plan": shop.price.plan.code}).content.decode()
    hourly = client.get(path, both | {"plan": "by-hour"}, headers={"HX-Request": "true"}).content.decode()

    for page, unsold, chosen in ((monthly, ["hourly"], ["monthly"]), (hourly, ["monthly"], ["hourly"])):
        assert (disabled.findall(page), checked.findall(page)) == (unsold, chosen)


@pytest.mark.parametrize("sent", [{}, {"add_to_cart": "1"}])
def test_a_billing_cycle_that_only_another_plan_has_is_refused_beside_its_field(
    shop: Shop, client: Client, sent: dict[str, str]
) -> None:
    make_price(make_plan(shop.price.plan.product, name="hourly"), minor=2, term=Term.HOURLY)
    client.force_login(shop.customer)

    answer = client.post("/products/minecraft/configure/", form_data(shop, term=Term.HOURLY, **sent))

    assert answer.status_code == 422
    assert answer.context["form"].errors["term"] == ["This plan is not sold with this billing cycle."]
