"""A price campaign beside a scheduled plan change: whoever keeps the plan after all pays the new price."""

from datetime import datetime

import pytest

from billing import charging, invoicing, price_campaigns
from billing.models import Invoice, Period, PriceCampaign, PriceMove, Subscription
from catalog import services as catalog
from catalog.models import AddonPrice, PlanPrice, Term
from core.money import Money
from orders.changes import applying, ending
from orders.changes.models import PlanChange
from tests.billing.test_renew import renew
from tests.builders import make_plan, make_price
from tests.orders.sold import APRIL, MAY, MIDDLE, Sold, make_sold
from tests.orders.test_plan_changes import bill, fill_node

pytestmark = pytest.mark.django_db
JUNE, JULY, AUGUST = (datetime(2026, month, 1, tzinfo=MAY.tzinfo) for month in (6, 7, 8))


def announce(sold: Sold, *, at: datetime) -> PriceCampaign:
    """From the middle of May whoever has the small plan pays $9.00 for it."""
    price = catalog.offer_price(item=sold.offer.small.plan, term=Term.MONTHLY, amount=Money(900, "USD"), at=at)
    assert isinstance(price, PlanPrice)
    campaign = PriceCampaign.objects.create(name="2026", plan_price=price, effective_at=MIDDLE.replace(month=6))
    price_campaigns.announce(campaign=campaign, actor=None, at=at)
    return campaign


def schedule(sold: Sold) -> PlanChange:
    """A plan that is not larger, and so begins with the next period."""
    size = {"memory_mib": 2048, "disk_mib": 2048, "databases": 1, "backups": 1}
    odd = make_price(make_plan(sold.offer.small.plan.product, name="odd", **size), minor=2000, at=APRIL)
    return sold.change_to(odd, at=MIDDLE)


def next_minor(sold: Sold) -> int:
    found: int = charging.with_charging(Subscription.objects.filter(pk=sold.subscription.pk)).get().next_minor  # type: ignore[attr-defined]
    return found


def test_a_scheduled_change_that_is_canceled_does_not_keep_the_old_price() -> None:
    sold = make_sold()
    change = schedule(sold)
    campaign = announce(sold, at=MIDDLE)
    assert price_campaigns.preview(campaign.reload()).customers == 1
    assert price_campaigns.tell_due(at=MIDDLE) == 0  # it may end with the month

    assert ending.cancel(change=change, actor=sold.user, at=MIDDLE)
    assert price_campaigns.tell_due(at=MIDDLE) == 1

    assert PriceMove.objects.get().begins_at == JULY
    Subscription.objects.update(current_period_start=JUNE, current_period_end=JULY)
    renew(JULY)
    assert Invoice.objects.get(items__period_start=JULY).total_minor == 900


def test_a_scheduled_change_that_is_made_ends_the_move() -> None:
    sold = make_sold()
    schedule(sold)
    announce(sold, at=MIDDLE)
    assert price_campaigns.tell_due(at=MAY) == 1
    assert PriceMove.objects.get().canceled_at == MAY


def moving() -> list[int]:
    """How many units each move is about that is still to come."""
    moves = PriceMove.objects.filter(canceled_at=None, item__valid_until=None)
    return sorted(moves.values_list("item__quantity", flat=True))


def test_units_that_stay_of_an_addon_move_to_its_price() -> None:
    sold = make_sold()
    sold.give_credit()
    addon = sold.offer.addon
    sold.change_to(sold.offer.small, *[addon] * 3, at=APRIL)
    sold.change_to(sold.offer.small, *[addon] * 5, at=APRIL)
    dearer = catalog.offer_price(item=addon.addon, term=Term.MONTHLY, amount=Money(900, "USD"), at=APRIL)
    assert isinstance(dearer, AddonPrice)
    campaign = PriceCampaign.objects.create(name="2026", addon_price=dearer, effective_at=MIDDLE.replace(month=6))
    price_campaigns.announce(campaign=campaign, actor=None, at=APRIL)

    change = sold.change_to(sold.offer.small, *[addon] * 2, at=MIDDLE)
    assert moving() == [2]
    assert ending.cancel(change=change, actor=sold.user, at=MIDDLE)
    assert moving() == [2, 3]

    sold.change_to(sold.offer.small, *[addon] * 2, at=MIDDLE)
    assert price_campaigns.tell_due(at=MIDDLE) == 1
    Subscription.objects.update(current_period_start=JUNE, current_period_end=JULY)
    renew(JULY)
    assert Invoice.objects.get(items__period_start=JULY, items__kind="addon").total_minor == 800 + 2 * 900


def test_a_scheduled_change_that_cannot_be_delivered_ends_in_the_price_that_was_told() -> None:
    sold = make_sold()
    sold.give_credit()
    announce(sold, at=APRIL)
    assert price_campaigns.tell_due(at=APRIL) == 1
    change = schedule(sold)
    PriceMove.objects.update(begins_at=MAY)  # as if told long before
    assert next_minor(sold) == 2000  # of the other plan
    invoicing.pay_from_wallet(invoice=bill(sold, Period(MAY, JUNE)), at=MAY)
    fill_node(sold, change)
    applying.apply_due(at=MAY)

    Subscription.objects.update(current_period_start=JUNE, current_period_end=JULY)

    assert next_minor(sold) == 900
    renew(JULY)
    assert Invoice.objects.get(items__period_start=JULY).total_minor == 900
