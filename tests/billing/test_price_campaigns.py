"""Price-change campaigns: announced with notice, each customer told once, applied by `renew`, canceled before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from billing import charging, price_campaigns, subscriptions
from billing.models import (
    BillingMode,
    Invoice,
    ItemKind,
    PriceCampaign,
    PriceMove,
    Subscription,
    SubscriptionItem,
)
from billing.price_campaigns import CampaignRefused
from catalog import services as catalog
from catalog.models import PlanPrice, Term
from core import tenancy
from core.models import AuditEntry
from core.money import Money
from support.models import Delivery
from tests.billing.sales import NOON, make_sale
from tests.billing.test_renew import make_subscription, renew
from tests.builders import make_addon_price, make_price

pytestmark = pytest.mark.django_db
DAY = NOON + timedelta(days=40)  # 10 April
MAY = datetime(2026, 5, 1, 12, tzinfo=UTC)  # the first period that is invoiced from that day on


def make_campaign(sold: PlanPrice, minor: int = 1000, **fields: Any) -> PriceCampaign:
    """Whoever has the plan is to pay this for a month."""
    price = catalog.offer_price(item=sold.plan, term=Term.MONTHLY, amount=Money(minor, "USD"), at=NOON)
    assert isinstance(price, PlanPrice)
    return PriceCampaign.objects.create(**{"name": "2026", "plan_price": price, "effective_at": DAY, **fields})


def announce(campaign: PriceCampaign) -> int:
    return price_campaigns.announce(campaign=campaign, actor=None, at=NOON)


def told(event: str) -> int:
    return Delivery.objects.filter(event=event).count()


def next_minor(rows: "QuerySet[Subscription]", period_end: datetime | None = None) -> int:
    """What the pages say that the next period costs, where the present one ends then."""
    with transaction.atomic():
        if period_end is not None:
            rows.update(current_period_end=period_end)
        found: int = charging.with_charging(rows).get().next_minor  # type: ignore[attr-defined]
        transaction.set_rollback(True)
    return found


def billed(subscription: Subscription) -> list[int]:
    rows = Invoice.objects.filter(items__subscription=subscription).order_by("due_at").distinct()
    return [row.total_minor for row in rows.exclude(due_at=None)]


def test_who_bought_at_another_price_is_told_and_pays_the_new_one_from_the_period_that_they_were_told() -> None:
    sold = make_price(minor=800)
    moved, canceled = (make_subscription(price=sold) for _ in range(2))
    make_sale(price=sold, billing_mode=BillingMode.GATEWAY).settle()
    campaign = make_campaign(sold)
    make_subscription(price=campaign.price)
    found = price_campaigns.preview(campaign)
    assert (found.subscriptions, found.customers) == (2, 2)
    assert (found.before, found.after, found.difference) == (Money(1600, "USD"), Money(2000, "USD"), Money(400, "USD"))

    assert announce(campaign) == 2
    subscriptions.cancel_at_period_end(subscription=canceled, at=NOON)
    assert [price_campaigns.tell_due(at=NOON) for _twice in range(2)] == [1, 0]

    assert told("price.changes") == 1
    body = Delivery.objects.get(event="price.changes").body
    assert "from $8.00 to $10.00" in body
    assert "May 1, 2026" in body
    ends = Subscription.objects.filter(pk=moved.pk)
    assert [next_minor(ends), next_minor(ends, MAY)] == [800, 1000]
    for at in (NOON + timedelta(days=25), DAY + timedelta(days=15), DAY + timedelta(days=15)):
        renew(at)
        Subscription.objects.filter(pk=moved.pk, current_period_end__lt=MAY).update(
            current_period_start=NOON + timedelta(days=31), current_period_end=MAY
        )
    assert billed(moved) == [800, 1000]
    assert moved.reload().amount_minor == 1000
    assert [row.applied_at is not None for row in PriceMove.objects.filter(subscription=moved)] == [True]
    with pytest.raises(CampaignRefused, match="in force"):
        price_campaigns.cancel(campaign=campaign, actor=None, at=DAY)


def test_a_campaign_that_is_canceled_before_its_day_changes_no_price_and_says_so_to_who_was_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sold = make_price(minor=800)
    kept, other = (make_subscription(price=sold) for _ in range(2))
    second = make_subscription(price=sold, organization=other.organization)
    campaign = make_campaign(sold)
    announce(campaign)
    price_campaigns.tell_due(at=NOON)
    monkeypatch.setattr(price_campaigns, "BATCH", 1)

    for _twice in range(2):
        price_campaigns.cancel(campaign=campaign, actor=None, at=DAY - timedelta(seconds=1))
    assert told("price.stays") == 0  # not in the transaction that cancels: that may be thousands of e-mails
    with CaptureQueriesContext(connection) as queries:
        assert [price_campaigns.tell_due(at=DAY) for _twice in range(2)] == [3, 0]
    assert sum("support_delivery" in query["sql"] for query in queries) == 2  # a batch each

    assert (told("price.changes"), told("price.stays")) == (2, 2)  # one for each customer, of all their subscriptions
    for event, words in (("price.changes", "from $8.00 to $10.00"), ("price.stays", "$8.00 (Monthly)")):
        bodies = [str(row.body) for row in Delivery.objects.filter(event=event)]
        assert sorted(body.count(words) for body in bodies) == [1, 2]
    assert PriceMove.objects.get(subscription=second).taken_back_at == DAY
    Subscription.objects.filter(pk=kept.pk).update(current_period_end=MAY)
    renew(MAY)
    assert billed(kept) == [800]
    again = make_campaign(sold)
    assert announce(again) == 3
    assert AuditEntry.objects.filter(action__startswith="price_campaign.").count() == 3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"effective_at": NOON + timedelta(days=29)}, "30 days before"),
        ({"status": "canceled"}, "announced or canceled already"),
    ],
)
def test_a_campaign_without_notice_or_that_is_over_is_not_announced(fields: dict[str, Any], words: str) -> None:
    campaign = make_campaign(make_price(minor=800), **fields)
    with pytest.raises(CampaignRefused, match=words):
        announce(campaign)


def test_a_campaign_of_a_price_that_is_no_longer_offered_is_not_announced() -> None:
    sold = make_price(minor=800)
    campaign = make_campaign(sold)
    make_campaign(sold, 1200)
    with pytest.raises(CampaignRefused, match="no longer offered"):
        announce(campaign)


def test_what_is_billed_by_the_hour_keeps_its_price() -> None:
    sold = make_price(minor=1, term=Term.HOURLY)
    campaign = PriceCampaign.objects.create(name="hours", plan_price=sold, effective_at=DAY)
    found = price_campaigns.preview(campaign)
    assert (found.subscriptions, found.before, found.after) == (0, Money(0, "USD"), Money(0, "USD"))
    with pytest.raises(CampaignRefused, match="by the hour"):
        announce(campaign)


def test_the_moves_of_a_subscription_are_judged_together() -> None:
    """The plan falls by more than the add-on rises: with a discount neither may be looked at alone."""
    plan, addon = make_price(minor=800), make_addon_price(minor=100)
    one = make_subscription(price=plan, addon_prices=[addon])
    SubscriptionItem.objects.create(
        subscription=one,
        organization_id=one.organization_id,
        kind=ItemKind.DISCOUNT,
        description="less",
        unit_minor=-300,
        currency="USD",
        valid_from=NOON,
        position=9,
    )
    for item in (plan.plan, addon.addon):
        minor = 50 if item == plan.plan else 200
        price = catalog.offer_price(item=item, term=Term.MONTHLY, amount=Money(minor, "USD"), at=NOON)
        field = "plan_price" if item == plan.plan else "addon_price"
        announce(PriceCampaign.objects.create(name=field, effective_at=DAY, **{field: price}))
    price_campaigns.tell_due(at=NOON)
    Subscription.objects.filter(pk=one.pk).update(current_period_end=MAY)

    said = next_minor(Subscription.objects.filter(pk=one.pk))

    renew(MAY)

    assert billed(one) == [said] == [600]  # 50 + 200 - 300 would be less than free: both stay as they were
    assert not PriceMove.objects.exclude(applied_at=None).exists()


def test_the_database_refuses_to_move_an_item_twice_and_one_of_somebody_else() -> None:
    sold = make_price(minor=800)
    one, other = (make_subscription(price=sold) for _ in range(2))
    announce(make_campaign(sold))
    again = (
        "INSERT INTO billing_pricemove (id, campaign_id, organization_id, subscription_id, item_id, unit_minor,"
        " created_at, updated_at)"
        " SELECT uuidv7(), campaign_id, organization_id, subscription_id, item_id, unit_minor, now(), now()"
        " FROM billing_pricemove"
    )
    foreign = "UPDATE billing_pricemove SET organization_id = %s WHERE organization_id = %s"
    for statement, params in ((again, ()), (foreign, (one.organization_id, other.organization_id))):
        with (
            pytest.raises(IntegrityError, match=r"price_move_once|same_owner"),
            transaction.atomic(),
            tenancy.as_role(role=tenancy.WORKER),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"{statement}; SET CONSTRAINTS ALL IMMEDIATE", params)


def test_who_undoes_a_cancellation_after_the_announcement_pays_the_new_price_with_its_notice() -> None:
    sold = make_price(minor=800)
    kept, over = (make_subscription(price=sold) for _ in range(2))
    for row in (kept, over):
        subscriptions.cancel_at_period_end(subscription=row, at=NOON)
    campaign = make_campaign(sold)
    assert price_campaigns.preview(campaign).subscriptions == 0
    assert announce(campaign) == 2
    assert price_campaigns.tell_due(at=NOON) == 0

    undone_at = NOON + timedelta(days=20)
    subscriptions.undo_cancellation(subscription=kept)
    subscriptions.end_subscription(subscription=over, reason="canceled", at=undone_at)

    assert price_campaigns.tell_due(at=undone_at) == 2
    assert told("price.changes") == 1
    moved = PriceMove.objects.get(subscription=kept)
    assert moved.begins_at
    assert moved.begins_at >= undone_at + timedelta(days=30)
    assert PriceMove.objects.get(subscription=over).canceled_at == undone_at
