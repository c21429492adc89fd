"""Promotions: shown with the price that they replace, charged as they were seen, and over when they are over."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from billing.models import SubscriptionItem
from catalog.models import DiscountDuration, Promotion
from core.money import Money
from orders.models import Order, OrderItem
from orders.quote import CouponUse, quote
from tests.orders.test_coupons import make_coupon
from tests.shop import Shop, form_data

PRODUCT, CONFIGURE = "/products/minecraft/", "/products/minecraft/configure/"


def make_promotion(shop: Shop, **fields: Any) -> Promotion:
    """A quarter off the shop's plan for the first period, unless the test says otherwise."""
    given: dict[str, Any] = {} if "amount_minor" in fields else {"percent": Decimal(25)}
    promotion = Promotion.objects.create(**{"name": "Summer sale"} | given | fields)
    promotion.plans.add(shop.price.plan)
    return promotion


def shown_form(shop: Shop, client: Client, **changes: Any) -> dict[str, Any]:
    """The form as a browser sends it after reading the page now."""
    shown = client.get(CONFIGURE).context["shown_prices"]
    return form_data(shop, **({"shown_prices": shown} | changes))


def test_pages_strike_the_price_through_that_a_promotion_replaces(shop: Shop, client: Client) -> None:
    make_promotion(shop)
    make_promotion(shop, name="Smaller", amount_minor=100, currency="USD")

    pages = {path: client.get(path).content.decode() for path in ("/", "/products/", PRODUCT, CONFIGURE)}

    for path, page in pages.items():
        assert "$8.00</s>" in page, path
        assert "<b>$6.00</b>" in page, path
    assert "Summer sale" in pages[PRODUCT]
    assert "first payment, then $8.00" in " ".join(pages[PRODUCT].split())


def test_a_promotion_is_charged_as_it_was_seen_and_kept_while_subscribed(shop: Shop, client: Client) -> None:
    promotion = make_promotion(shop, duration=DiscountDuration.FOREVER)
    client.force_login(shop.customer)

    answer = client.post(CONFIGURE, shown_form(shop, client))

    assert answer.status_code == 303
    order = Order.objects.get()
    assert (order.total, OrderItem.objects.get().promotion) == (Money(600, "USD"), promotion)
    assert SubscriptionItem.objects.get(kind="discount").periods is None


def test_a_promotion_that_ended_since_the_page_was_opened_is_said_before_anything_is_ordered(
    shop: Shop, client: Client
) -> None:
    promotion = make_promotion(shop)
    client.force_login(shop.customer)
    form = shown_form(shop, client)
    Promotion.objects.filter(pk=promotion.pk).update(ends_at=timezone.now())

    refused = client.post(CONFIGURE, form)

    assert refused.status_code == 422
    assert "has changed from $6.00 to $8.00" in str(refused.context["form"].errors["plan"])
    assert not Order.objects.exists()
    agreed = client.post(CONFIGURE, form | {"shown_prices": refused.context["shown_prices"]})
    assert agreed.status_code == 303
    assert Order.objects.get().total == Money(800, "USD")


def test_a_promotion_is_open_in_its_window_only_without_being_written_again(shop: Shop, client: Client) -> None:
    now = timezone.now()
    for window in ({"ends_at": now}, {"starts_at": now + timedelta(hours=1)}, {"is_active": False}):
        make_promotion(shop, **window)
    soon = make_promotion(shop, starts_at=now + timedelta(seconds=2))

    before = client.get(PRODUCT).content.decode()
    Promotion.objects.filter(pk=soon.pk).update(starts_at=now)
    after = client.get(PRODUCT).content.decode()

    assert "</s>" not in before
    assert "$8.00</s>" in after


def test_a_coupon_is_taken_off_what_a_promotion_left(shop: Shop) -> None:
    found = quote(
        plan_price=shop.price, promotion=make_promotion(shop), coupon_use=CouponUse(make_coupon(percent=Decimal(50)))
    )

    assert [discount.amount.minor for discount in found.discounts] == [200, 300]
    assert found.due_today == Money(300, "USD")


@pytest.mark.django_db
def test_what_a_promotion_takes_off_never_changes() -> None:
    promotion = Promotion.objects.create(name="Sale", percent=Decimal(10))
    for change in ({"percent": Decimal(20)}, {"duration": "forever"}, {"percent": None, "amount_minor": 1}):
        with pytest.raises(IntegrityError, match="a promotion does not change"), transaction.atomic():
            Promotion.objects.filter(pk=promotion.pk).update(**change)
