"""The pages of a plan change: choosing, the quote line by line, confirming, paying and canceling."""

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import credit
from billing.models import Subscription
from catalog.models import Plan
from core.money import Money
from orders.changes import making
from orders.changes.models import PlanChange, PlanChangeStatus
from orders.models import Order
from servers.models import Server
from tests.orders.sold import Sold, make_sold

pytestmark = pytest.mark.django_db


@pytest.fixture
def sold() -> Sold:
    return make_sold(at=timezone.now().replace(microsecond=0))


@pytest.fixture
def client(sold: Sold) -> Client:
    client = Client()
    client.force_login(sold.user)
    return client


def url(name: str, pk: object) -> str:
    return reverse(f"orders:{name}", kwargs={"pk": pk})


def choose(client: Client, sold: Sold, plan: Plan, **fields: object) -> PlanChange:
    """Send the form of the choice."""
    data = {"plan": plan.code, "term": "monthly", "addons": [], **fields}
    answer = client.post(url("choose_plan", sold.server.pk), data)
    assert answer.status_code == 302, answer.content.decode()
    return PlanChange.objects.get(status=PlanChangeStatus.QUOTED)


def has_link(client: Client, sold: Sold) -> bool:
    """Whether the server's page and the list of subscriptions lead to the choice; they agree."""
    server, listed = reverse("servers:detail", kwargs={"pk": sold.server.pk}), reverse("subscriptions:list")
    link = url("choose_plan", sold.server.pk)
    first, second = (link in client.get(page).content.decode() for page in (server, listed))
    assert first == second
    return first


@pytest.mark.parametrize(
    ("rows", "change"),
    [
        (Server, {"status": "suspended"}),
        (Server, {"status": "failed"}),
        (Order, {"status": "provisioning"}),
        (Subscription, {"status": "past_due"}),
        (Subscription, {"billing_mode": "gateway"}),
    ],
)
def test_no_page_leads_to_a_change_that_would_be_refused(
    client: Client, sold: Sold, rows: type[Model], change: dict[str, str]
) -> None:
    assert has_link(client, sold)
    columns = dict(change, current_period_end=timezone.now()) if "past_due" in change.values() else change
    rows._default_manager.update(**columns)

    assert not has_link(client, sold)


def test_a_customer_chooses_sees_the_quote_and_pays_with_credit(client: Client, sold: Sold) -> None:
    sold.give_credit(5000)
    assert has_link(client, sold)
    page = client.get(url("choose_plan", sold.server.pk)).content.decode()
    assert "2 GB: 2 GB memory, 10 GB disk. $20.00 / month ($12.00 more)" in page
    assert "Monthly (your plan: $8.00 / month)" in page

    change = choose(client, sold, sold.offer.large.plan)

    page = client.get(url("plan_change", change.pk)).content.decode()
    for text in (
        "Minecraft 1 GB, unused until",
        "Minecraft 2 GB, until",
        "Total due today",
        "From the next period on it costs $20.00/month.",
        "($50.00)",
    ):
        assert text in page
    answer = client.post(url("confirm_plan_change", change.pk), {"uses_credit": "on", "shown_credit": "5000"})
    assert answer["Location"] == url("plan_change", change.pk)
    assert "Your server is being changed" in client.get(answer["Location"]).content.decode()
    assert Server.objects.get().memory_mib == 2048
    assert client.post(url("confirm_plan_change", change.pk)).status_code == 302


def test_a_change_that_credit_pays_in_part_asks_for_the_rest(client: Client, sold: Sold) -> None:
    sold.give_credit(300)
    at = timezone.now()
    change = choose(client, sold, sold.offer.large.plan)
    change = making.confirm(change=change, actor=sold.user, at=at)
    payment = making.open_payment(change=change, at=at)
    assert not credit.use_credit(payment=payment, at_most=Money(300, "USD"), at=at)

    page = client.get(url("plan_change", change.pk)).content.decode()
    rest = change.due - Money(300, "USD")
    assert "From your wallet balance" in page
    assert f"Pay {rest}" in page


def test_a_change_of_the_next_period_is_scheduled_and_canceled(client: Client, sold: Sold) -> None:
    sold.give_credit(5000)
    addon = sold.offer.addon.addon.code
    first = choose(client, sold, sold.offer.small.plan, addons=[addon])
    client.post(url("confirm_plan_change", first.pk), {"uses_credit": "on", "shown_credit": "5000"})
    Server.objects.update(resize_asked_at=None)
    PlanChange.objects.update(status=PlanChangeStatus.DONE)

    change = choose(client, sold, sold.offer.small.plan)
    client.post(url("confirm_plan_change", change.pk))

    page = client.get(url("plan_change", change.pk)).content.decode()
    assert ("Cancel the change" in page, change.reload().status) == (True, PlanChangeStatus.SCHEDULED)
    assert client.get(url("choose_plan", sold.server.pk))["Location"] == url("plan_change", change.pk)
    client.post(url("cancel_plan_change", change.pk))
    assert change.reload().status == PlanChangeStatus.CANCELED
    assert Subscription.objects.get().amount_minor == 1200


def test_what_cannot_be_done_is_said_in_words(client: Client, sold: Sold) -> None:
    same = {"plan": sold.offer.small.plan.code, "term": "monthly"}
    answer = client.post(url("choose_plan", sold.server.pk), same)
    assert (answer.status_code, "This is what you have already" in answer.content.decode()) == (422, True)
    answer = client.post(url("choose_plan", sold.server.pk), {"plan": "no-such-plan", "term": "hourly"})
    assert answer.status_code == 422
    change = choose(client, sold, sold.offer.large.plan)
    PlanChange.objects.update(expires_at=change.quoted_at)
    assert "This quote has expired" in client.get(url("plan_change", change.pk)).content.decode()
    answer = client.post(url("confirm_plan_change", change.pk), follow=True)
    assert "This quote no longer holds" in answer.content.decode()
    Plan.objects.filter(pk=sold.offer.large.plan_id).update(stock=0)
    change = choose(client, sold, sold.offer.large.plan)
    answer = client.post(url("confirm_plan_change", change.pk), follow=True)
    assert "This plan is out of stock" in answer.content.decode()
    Subscription.objects.update(billing_mode="gateway")
    assert "payment provider renews" in client.get(url("choose_plan", sold.server.pk)).content.decode()
