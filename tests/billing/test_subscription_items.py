"""Items of a subscription are valid for a time, and at any time there is one plan."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from billing import renewals, subscriptions
from billing.models import (
    BillingMode,
    ItemKind,
    Period,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
    next_period_end,
)
from core import tenancy
from core.money import Money
from tests.billing.sales import NOON, Sale, make_sale
from tests.builders import make_price

APRIL = Period(datetime(2026, 4, 1, 12, tzinfo=UTC), datetime(2026, 5, 1, 12, tzinfo=UTC))
MAY = Period(APRIL.end, datetime(2026, 6, 1, 12, tzinfo=UTC))

pytestmark = pytest.mark.django_db


def replace_plan(sale: Sale, *, minor: int, at: datetime) -> SubscriptionItem:
    """From now on the subscription has another plan."""
    old = sale.subscription.items.get(kind=ItemKind.PLAN)
    old.valid_until = at
    old.save()
    return make_item(sale, minor=minor, valid_from=at)


def make_item(sale: Sale, *, minor: int = 1200, **fields: Any) -> SubscriptionItem:
    price = make_price(minor=minor)
    return SubscriptionItem.objects.create(
        subscription=sale.subscription,
        organization=sale.organization,
        kind=ItemKind.PLAN,
        plan_price=price,
        description="Minecraft 2 GB",
        unit_minor=price.amount_minor,
        currency=price.currency,
        **fields,
    )


def test_a_renewal_bills_the_items_that_are_valid_when_its_period_begins() -> None:
    sale = make_sale(minor=800)
    replace_plan(sale, minor=1200, at=MAY.start)

    april = renewals.renewal_lines(sale.subscription, APRIL)
    may = renewals.renewal_lines(sale.subscription, MAY)

    assert [line.unit.minor for line in april] == [800]
    assert [line.unit.minor for line in may] == [1200]


@pytest.mark.parametrize(
    ("periods", "amounts", "amount"),
    [(1, [800, 800, 800], 800), (3, [720, 720, 800], 800), (None, [720, 720, 720], 720)],
)
def test_a_discount_is_taken_off_as_many_periods_as_it_was_sold_for(
    periods: int | None, amounts: list[int], amount: int
) -> None:
    ordered_at = datetime(2026, 1, 30, 23, 50, tzinfo=UTC)
    discount = subscriptions.SoldDiscount("Coupon WELCOME10", Money(80, "USD"), periods)
    sale = make_sale(minor=800, discounts=[discount], at=ordered_at)
    assert sale.payment.amount == Money(720, "USD")

    sale.settle(at=ordered_at + timedelta(minutes=20))  # on the 31st, when its first period begins

    subscription = sale.subscription.reload()
    assert subscription.amount_minor == amount
    assert subscription.current_period_end
    end, billed = subscription.current_period_end, []
    for _number in amounts:  # from 28 February to 31 March and 30 April
        period = Period(end, next_period_end(end, subscription.term, subscription.anchor_day or 1))
        billed.append(sum(line.amount.minor for line in renewals.renewal_lines(subscription, period)))
        end = period.end
    assert billed == amounts


@pytest.mark.parametrize("valid_from", [NOON - timedelta(days=1), NOON, APRIL.start, APRIL.end - timedelta(seconds=1)])
def test_the_database_refuses_a_second_plan_at_the_same_time(valid_from: datetime) -> None:
    sale = make_sale()
    sale.subscription.items.update(valid_until=APRIL.end)

    with pytest.raises(IntegrityError, match="billing_subscription_one_plan"):
        make_item(sale, valid_from=valid_from)


def test_one_plan_may_follow_another_at_the_same_instant() -> None:
    sale = make_sale()
    assert replace_plan(sale, minor=1200, at=APRIL.end).valid_from == APRIL.end


@pytest.mark.parametrize("change", ["valid_until = valid_from", "quantity = 0"])
def test_the_database_refuses_an_item_that_is_never_valid_or_without_quantity(change: str) -> None:
    item = make_sale().subscription.items.get()

    with pytest.raises(IntegrityError), tenancy.as_worker(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE billing_subscriptionitem SET {change} WHERE id = %s", [item.pk])


def test_the_items_of_a_subscription_end_with_it() -> None:
    sale = make_sale()
    sale.settle()

    assert subscriptions.end_subscription(subscription=sale.subscription, reason="canceled", at=APRIL.start)

    assert sale.subscription.items.get().valid_until == APRIL.start


def test_one_column_says_who_renews() -> None:
    fields = [field for model in apps.get_models() for field in model._meta.concrete_fields]
    says = [str(field) for field in fields if field.choices == BillingMode.choices]
    assert says == ["billing.Subscription.billing_mode"]


def test_a_cancellation_leaves_the_choice_to_renew_as_it_is() -> None:
    subscription = make_sale().subscription
    for chosen in (False, True):
        Subscription.objects.update(is_auto_renewed=chosen)
        subscriptions.cancel_at_period_end(subscription=subscription, at=NOON)
        assert subscription.reload().cancels_at_period_end
        subscriptions.undo_cancellation(subscription=subscription)
        assert (subscription.reload().cancels_at_period_end, subscription.reload().is_auto_renewed) == (False, chosen)


@pytest.mark.parametrize("billing_mode", BillingMode)
def test_what_is_due_is_read_from_the_index_of_what_is_due(billing_mode: BillingMode) -> None:
    sale = make_sale(billing_mode=billing_mode)
    sale.settle()
    due = Subscription.objects.filter(
        status__in=[SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE],
        billing_mode=billing_mode,
        current_period_end__lte=MAY.start,
    ).order_by("current_period_end")

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # one row is read faster without any index
        plan = due.explain()

    assert [row.pk for row in due] == [sale.subscription.pk]
    assert "billing_subscription_due" in plan
    assert "Sort" not in plan
