"""A price of $0.0069 an hour is stored, shown and sold exactly, and rounded once: where a charge is posted."""

from decimal import Decimal

import pytest
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from billing import renewals, subscriptions
from billing.models import Period, next_period_end
from catalog import services as catalog
from catalog.models import PlanPrice, Term
from core.money import Money, Rate
from orders.quote import quote
from tests.builders import NOON, make_addon_price, make_organization, make_plan, make_price
from tests.pages.rows import make_catalog

RATE = Rate(Decimal("0.69"), "USD")

pytestmark = pytest.mark.django_db


def make_hourly_price() -> PlanPrice:
    plan = make_plan()
    catalog.offer_price(item=plan, term=Term.HOURLY, amount=RATE, actor="test", at=NOON)
    return PlanPrice.objects.select_related("plan__product").get(plan=plan)


def test_an_hourly_rate_is_sold_as_it_is_offered() -> None:
    price = make_hourly_price()
    subscription = subscriptions.open_subscription(organization=make_organization(), plan_price=price, at=NOON)

    hour = Period(NOON, next_period_end(NOON, Term.HOURLY, 1))
    (line,) = renewals.renewal_lines(subscription, hour)

    assert price.unit_price == line.unit == RATE
    assert line.unit.times(720) == Money(497, "USD")  # 4.968 dollars, where 720 rounded hours would be 7.20


def test_the_same_rate_offered_again_changes_nothing() -> None:
    price = make_hourly_price()
    catalog.offer_price(item=price.plan, term=Term.HOURLY, amount=RATE, actor="test", at=NOON)
    assert PlanPrice.objects.get(plan=price.plan).superseded_at is None


def test_a_quote_by_the_hour_names_the_exact_rate() -> None:
    addon = make_addon_price(term=Term.HOURLY, minor=1)
    result = quote(plan_price=make_hourly_price(), addon_prices=[addon])
    assert str(result.recurring) == "$0.0169"


def test_the_shop_shows_the_rate() -> None:
    product, _location = make_catalog(1)
    catalog.offer_price(item=product.plans.get(), term=Term.HOURLY, amount=RATE, actor="test", at=NOON)
    address = reverse("storefront:configure", kwargs={"slug": product.slug})

    page = Client().get(address, {"term": "hourly"}, follow=True).content.decode()

    assert "<b>$0.0069</b>" in page
    assert "$0.0069/hour" in page


def test_only_the_price_of_an_hour_is_a_rate() -> None:
    with pytest.raises(ValueError, match="an amount, not a rate"):
        catalog.offer_price(item=make_plan(), term=Term.MONTHLY, amount=RATE, actor="test", at=NOON)


@pytest.mark.parametrize(
    "fields",
    [
        {"term": Term.MONTHLY, "amount_minor": 1, "rate_minor": Decimal("0.69")},
        {"term": Term.HOURLY, "amount_minor": 1, "rate_minor": None},
        {"term": Term.HOURLY, "amount_minor": 5, "rate_minor": Decimal("0.69")},
        {"term": Term.HOURLY, "amount_minor": 0, "rate_minor": Decimal("-0.1")},
    ],
)
def test_the_database_refuses_a_rate_that_does_not_fit_its_price(fields: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        PlanPrice.objects.create(plan=make_price().plan, currency="EUR", offered_at=NOON, **fields)
