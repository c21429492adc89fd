"""What staff do with a price campaign, over HTTP: written, looked at, announced and canceled."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import CampaignStatus, PriceCampaign, PriceMove
from catalog import services as catalog
from catalog.models import Term
from core.money import Money
from tests.admin.action_pages import is_audited, page_of, run
from tests.billing.test_renew import make_subscription
from tests.builders import make_price

pytestmark = pytest.mark.django_db


def test_a_campaign_is_previewed_announced_and_canceled(superadmin: Client) -> None:
    now = timezone.now()
    sold = make_price(minor=800, term=Term.QUARTERLY)
    make_subscription(at=now, price=sold)
    new = catalog.offer_price(item=sold.plan, term=Term.QUARTERLY, amount=Money(1100, "USD"), at=now)
    day = now + timedelta(days=40)
    data = {"name": "2027", "plan_price": new.pk, "effective_at_0": f"{day:%Y-%m-%d}", "effective_at_1": "12:00:00"}
    answer = superadmin.post("/admin/billing/pricecampaign/add/", data)
    assert answer.status_code == 302, answer.context["errors"]
    campaign = PriceCampaign.objects.get()

    page = superadmin.get(page_of(campaign)).content.decode()
    assert "1 subscriptions of 1 customers" in page
    for amount in ("$2.67", "$3.67", "$1.00"):  # a month of a quarter
        assert amount in page

    assert "1 subscription moves" in run(superadmin, campaign, "announce")[-1]
    assert PriceMove.objects.get().canceled_at is None
    assert "within minutes" in run(superadmin, campaign, "cancel")[-1]
    assert PriceMove.objects.get().canceled_at is not None
    assert campaign.reload().status == CampaignStatus.CANCELED
    assert is_audited(superadmin, "price_campaign.announce", campaign)
    assert is_audited(superadmin, "price_campaign.cancel", campaign)


def test_a_campaign_that_leaves_no_time_says_so_and_moves_nobody(superadmin: Client) -> None:
    price = make_price(minor=800)
    campaign = PriceCampaign.objects.create(name="soon", plan_price=price, effective_at=timezone.now())

    assert "30 days before" in run(superadmin, campaign, "announce")[-1]
    assert campaign.reload().status == CampaignStatus.DRAFT
