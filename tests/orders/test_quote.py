"""The quote: one pure function behind the page, the order and the invoice."""

import pytest

from catalog.models import Addon, AddonPrice, Plan, PlanPrice, Product, Term
from core.money import Money
from orders.quote import MixedPrices, quote


def make_price(amount_minor: int = 800, setup_fee_minor: int = 0, currency: str = "USD") -> PlanPrice:
    plan = Plan(code="mc-4gb", name="4 GB", product=Product(name="Minecraft"))
    return PlanPrice(
        plan=plan, term=Term.MONTHLY, currency=currency, amount_minor=amount_minor, setup_fee_minor=setup_fee_minor
    )


def make_addon_price(amount_minor: int = 250, term: Term = Term.MONTHLY, currency: str = "USD") -> AddonPrice:
    return AddonPrice(addon=Addon(name="1 GB more"), term=term, currency=currency, amount_minor=amount_minor)


def test_due_today_is_the_first_period_with_add_ons_and_the_setup_fee() -> None:
    result = quote(plan_price=make_price(800, 300), addon_prices=[make_addon_price(250)])

    assert result.due_today == Money(1350, "USD")
    assert [line.description for line in result.lines] == ["Minecraft 4 GB", "1 GB more", "Setup fee"]


def test_the_setup_fee_is_charged_once() -> None:
    assert quote(plan_price=make_price(800, 300)).recurring == Money(800, "USD")


def test_a_currency_without_minor_units_stays_whole() -> None:
    assert str(quote(plan_price=make_price(1200, currency="JPY")).due_today) == "¥1,200"


@pytest.mark.parametrize("odd", [make_addon_price(term=Term.YEARLY), make_addon_price(currency="EUR")])
def test_prices_of_another_term_or_currency_make_no_quote(odd: AddonPrice) -> None:
    with pytest.raises(MixedPrices):
        quote(plan_price=make_price(), addon_prices=[odd])


def test_a_quote_reads_nothing_from_the_database() -> None:
    """No database mark on this module: any query would fail the test."""
    assert quote(plan_price=make_price(), addon_prices=[make_addon_price()]).due_today
