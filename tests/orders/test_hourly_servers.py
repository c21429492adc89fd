"""A server by the hour: prepaid, charged while it runs, changed with the next hour, and canceled at once."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils.html import strip_tags

from billing import cancellations, metering
from billing.ledger_audit import broken_rules
from billing.models import CancellationReason, Invoice, RunKind, Subscription, UsageCycle
from billing.runs import runner
from catalog import services as catalog
from catalog.models import AddonKind, Term
from core import formats, site_settings
from core.ids import uuid7
from core.money import Money, Rate
from orders import placement
from orders.changes import applying, making
from orders.changes.models import PlanChangeStatus
from orders.changes.quoting import ChangeRefused, Selection
from orders.models import OrderItem, OrderStatus
from orders.prepayment import PrepaymentNeeded
from servers import events as server_events
from servers import services as servers
from servers.models import DesiredState, Reservation, Server, ServerHold, ServerStatus
from tests.billing.sales import usd, wallet_balance
from tests.billing.test_top_ups import arrive, open_top_up
from tests.builders import make_addon, make_organization, make_price
from tests.orders.sold import APRIL, MAY, Sold, give_credit, make_offer
from tests.orders.test_plan_changes import fill_node
from tests.servers.builders import region_of
from tests.servers.test_absence import delete_on_panel
from tests.shop import Clock, Shop, create_session, deliver_webhooks, place_order, run_until_idle

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def meter(hours: float) -> list[int]:
    """What each hour cost that was charged until then."""
    run = runner.execute(RunKind.METER, at=APRIL + hours * HOUR)
    assert run.skipped == {}
    return [int(minor) for minor in UsageCycle.objects.order_by("hour").values_list("unit_minor", flat=True)]


@pytest.fixture
def sold() -> Sold:
    """Ordered, with a wallet that lasts for a week."""
    offer = make_offer(small=2, large=5, term=Term.HOURLY)
    organization = make_organization()
    user = organization.owner
    item = placement.ItemRequest(plan_price=offer.small, region=region_of(offer.location), server_name="lantern")
    ordered: dict[str, Any] = {"organization": organization, "user": user, "form_token": uuid7(), "at": APRIL}
    order_request = placement.OrderRequest([item])
    with pytest.raises(PrepaymentNeeded) as refused:
        placement.place_order(order_request=order_request, **ordered)
    assert refused.value.amount == Money(336, "USD")
    assert not Reservation.objects.exists()
    give_credit(organization, Money(336, "USD"))
    order = placement.place_order(order_request=order_request, **ordered)
    return Sold(offer, OrderItem.objects.get(order=order), user, organization)


def run_server(sold: Sold, hours: float) -> None:
    Server.objects.filter(order_item=sold.item).update(status=ServerStatus.RUNNING)
    server_events.servers_running.send(Server, server_ids=[sold.server.pk], at=APRIL + hours * HOUR)


def test_the_wallet_must_pay_for_servers_that_do_not_run_yet_too(sold: Sold) -> None:
    item = placement.ItemRequest(
        plan_price=sold.offer.small, region=region_of(sold.offer.location), server_name="second"
    )
    with pytest.raises(PrepaymentNeeded) as refused:
        placement.place_order(
            organization=sold.organization,
            user=sold.user,
            order_request=placement.OrderRequest([item]),
            form_token=uuid7(),
            at=APRIL,
        )
    assert refused.value.amount == Money(672, "USD")


def test_hours_are_charged_from_when_the_server_runs_until_it_is_canceled(sold: Sold) -> None:
    assert meter(1.9) == []
    run_server(sold, 2.5)
    assert meter(2.6) == [2]
    (cost,) = metering.hourly_costs(sold.organization, at=APRIL + 3 * HOUR)
    assert (str(cost.rate), cost.hours_left) == ("$0.02", 167)

    change = sold.request(sold.offer.large, *[sold.offer.addon] * 2, at=APRIL + 2.7 * HOUR)
    assert (change.effective_at, change.due_minor) == (APRIL + 3 * HOUR, 0)
    assert change.recurring == Rate(Decimal(7), "USD")
    sold.confirm(change, at=APRIL + 2.8 * HOUR)
    assert meter(3.1) == [2, 7]
    applying.apply_due(at=APRIL + 3.2 * HOUR)
    assert change.reload().status == PlanChangeStatus.APPLYING
    assert sold.server.memory_mib == 2048 + 2 * 1024

    canceled: dict[str, Any] = {"reason": CancellationReason.UNUSED, "actor": sold.user, "at": APRIL + 5.1 * HOUR}
    cancellations.cancel(subscription=sold.subscription, **canceled)

    row = sold.subscription
    assert (row.status, row.ended_at) == ("ended", canceled["at"])
    assert meter(7) == [2, 7, 7, 7]
    assert wallet_balance(sold.organization) == 336 - 23
    assert ServerHold.objects.filter(server=sold.server, lifted_at=None).exists()
    assert broken_rules().keys() <= {"account_not_rows"}  # the credit has no payment


def test_the_page_of_a_server_that_the_wallet_does_not_pay_says_what_it_ran_unpaid_and_until_when_it_is_kept(
    sold: Sold, client: Client
) -> None:
    run_server(sold, 0)
    assert len(meter(165)) == 166
    assert len(meter(170.5)) == 168
    Server.objects.filter(order_item=sold.item).update(status=ServerStatus.SUSPENDED)
    client.force_login(sold.user)

    page = " ".join(strip_tags(client.get(f"/servers/{sold.server.pk}/").content.decode()).split())

    assert "First 3 hours are charged that it ran unpaid: $0.06." in page
    kept_until = " ".join(formats.instant(APRIL + 170.5 * HOUR + timedelta(days=21)).split())
    assert f"your wallet does not pay for it. It is not running, and its files are kept until {kept_until}" in page


def test_a_server_that_is_gone_costs_nothing_until_it_runs_again(sold: Sold) -> None:
    run_server(sold, 0)
    assert meter(0.1) == [2]
    Server.objects.filter(pk=sold.server.pk).update(vanished_at=APRIL + 2.2 * HOUR, status=ServerStatus.FAILED)
    gone: dict[str, Any] = {"server_ids": [sold.server.pk], "reason": "gone", "at": APRIL + 2.2 * HOUR}
    server_events.servers_failed.send(Server, **gone)
    server_events.servers_failed.send(Server, **gone)

    assert meter(9.1) == [2] * 3
    assert metering.hourly_costs(sold.organization, at=APRIL + 9 * HOUR) == []
    run_server(sold, 9.5)
    assert meter(10.1) == [2] * 5
    cancellations.cancel(
        subscription=sold.subscription, reason=CancellationReason.UNUSED, actor=sold.user, at=APRIL + 10.2 * HOUR
    )
    assert sold.subscription.status == "ended"


def test_an_hour_is_charged_once_where_the_server_is_gone_and_runs_again_within_it(sold: Sold) -> None:
    run_server(sold, 0.1)
    Server.objects.filter(pk=sold.server.pk).update(vanished_at=APRIL + 0.2 * HOUR)
    server_events.servers_failed.send(Server, server_ids=[sold.server.pk], reason="gone", at=APRIL + 0.2 * HOUR)
    run_server(sold, 0.5)

    assert meter(1.1) == [2, 2]


def test_a_server_that_failed_and_is_still_there_goes_on_costing(sold: Sold) -> None:
    run_server(sold, 0)
    server_events.servers_failed.send(Server, server_ids=[sold.server.pk], reason="no", at=APRIL + 0.2 * HOUR)

    assert meter(1.1) == [2, 2]


def test_a_suspended_server_that_is_gone_is_not_resumed_by_a_top_up(sold: Sold) -> None:
    run_server(sold, 0)
    Subscription.objects.filter(order_item=sold.item).update(status="suspended")
    Server.objects.filter(pk=sold.server.pk).update(vanished_at=APRIL)
    server_events.servers_failed.send(Server, server_ids=[sold.server.pk], reason="gone", at=APRIL + 0.2 * HOUR)

    assert meter(1.1) == []
    run_server(sold, 2)
    assert meter(2.1) == [2]


@pytest.mark.parametrize("term", [Term.HOURLY, Term.MONTHLY])
def test_a_server_that_staff_delete_ends_its_subscription(sold: Sold, term: Term) -> None:
    run_server(sold, 0)
    if term == Term.MONTHLY:
        Subscription.objects.filter(order_item=sold.item).update(term=term, metered_from=None)

    servers.delete_servers(server_ids=[sold.server.pk], actor=None, at=APRIL + 2.2 * HOUR)
    servers.delete_servers(server_ids=[sold.server.pk], actor=None, at=APRIL + 5 * HOUR)

    assert (sold.subscription.status, sold.subscription.ended_at) == ("ended", APRIL + 2.2 * HOUR)
    assert meter(6) == ([2] * 3 if term == Term.HOURLY else [])


@pytest.mark.parametrize("charged", [[2, 2, 2], [2, 2, 2, 5]])
def test_a_change_that_cannot_be_delivered_ends_and_the_old_price_comes_back(sold: Sold, charged: list[int]) -> None:
    """Before the first hour at the new price is charged, or after it."""
    run_server(sold, 0)
    assert meter(2.1) == [2, 2, 2]
    change = sold.confirm(sold.request(sold.offer.large, at=APRIL + 2.7 * HOUR), at=APRIL + 2.8 * HOUR)
    assert meter(len(charged) - 0.9) == charged
    fill_node(sold, change)

    assert applying.apply_due(at=APRIL + 3.2 * HOUR) == 0

    assert change.reload().status == PlanChangeStatus.FAILED
    assert meter(5.1) == [*charged, *[2] * (6 - len(charged))]


def test_a_change_that_cannot_be_delivered_ends_also_where_its_month_is_invoiced(sold: Sold) -> None:
    give_credit(sold.organization, Money(2000, "USD"))
    run_server(sold, 0)
    last = (MAY - APRIL) // HOUR - 1
    meter(last - 0.9)
    change = sold.confirm(sold.request(sold.offer.large, at=MAY - 1.5 * HOUR), at=MAY - 1.4 * HOUR)
    meter(last + 4.1)
    assert Invoice.objects.get(usage_month=APRIL.date()).state == "paid"
    fill_node(sold, change)

    applying.apply_due(at=MAY + 4 * HOUR)

    assert change.reload().status == PlanChangeStatus.FAILED


def test_an_hourly_server_is_not_changed_to_months_nor_the_other_way(sold: Sold) -> None:
    run_server(sold, 0)
    by_month = make_price(sold.offer.large.plan, minor=2000, at=APRIL)
    with pytest.raises(ChangeRefused, match="by the hour"):
        making.request_change(item=sold.item, selection=Selection(by_month), actor=sold.user, at=APRIL)


def test_the_configurator_says_what_an_hour_and_a_month_cost_and_what_the_wallet_must_hold(
    sold: Sold, client: Client
) -> None:
    client.force_login(sold.user)
    plan = sold.offer.small.plan

    page = client.get(f"/products/{plan.product.slug}/configure/", {"plan": plan.code, "term": Term.HOURLY})

    shown = " ".join(strip_tags(page.content.decode()).split())
    assert "Each hour $0.02 About each month $14.60 Needed in your wallet for the first 168 hours $6.72" in shown
    assert "Your wallet holds $3.36. Add $3.36 before you order. Add money to your wallet" in shown
    assert "Total due today" not in shown
    assert "is_auto_renewed" not in page.context["form"].fields


def test_a_life_by_the_hour_at_a_real_panel(shop: Shop) -> None:
    """In one order with a server by the month; gone and set up again, unpaid and paid, at last deleted by staff."""
    site_settings.set_value("billing.prepaid_hours", 2)
    clock, plan = Clock(shop.sandbox), shop.price.plan
    clock.pass_by(metering.hour_of(clock.now) + HOUR - clock.now)
    addon = make_addon(plan.product, kind=AddonKind.MEMORY, quantity=512, max_units=4)
    cent: dict[str, Any] = {"term": Term.HOURLY, "at": clock.now}
    hourly = catalog.offer_price(item=plan, amount=Rate(Decimal("100.5"), "USD"), **cent)
    unit = catalog.offer_price(item=addon, amount=Rate(Decimal(25), "USD"), **cent)
    arrive(open_top_up(shop.organization, usd(700)))
    by_hour = shop.item_request(plan_price=hourly, addon_prices=(unit, unit), server_name="by-hour")
    order = place_order(shop, at=clock.now, items=[by_hour, shop.item_request()])
    shop.sandbox.pay(create_session(order, at=clock.now))

    def pass_hours(count: float) -> tuple[int, str]:
        """What was charged until then, and what has become of the server."""
        clock.pass_by(count * HOUR)
        assert runner.execute(RunKind.METER, at=clock.now).skipped == {}
        run_until_idle(clock)
        return UsageCycle.objects.count(), item.server.reload().status if item.server else ""

    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    item = OrderItem.objects.get(order=order, server_name="by-hour")
    assert item.server is not None
    assert pass_hours(1) == (2, "running")

    delete_on_panel(shop.provider, item.server)
    servers.accept_missing_servers(provider_id=shop.provider.pk, actor=None, at=clock.now)
    servers.request_convergence(server_ids=[item.server.pk], at=clock.now)
    run_until_idle(clock)
    assert pass_hours(5) == (2, "failed")
    assert servers.retry(server_id=item.server.pk, actor=None, at=clock.now)
    assert pass_hours(0) == (2, "running")
    assert pass_hours(1) == (4, "running")
    assert pass_hours(1) == (4, "suspended")
    arrive(open_top_up(shop.organization, usd(1000)), "pi_2")
    assert pass_hours(1) == (5, "running")

    servers.delete_servers(server_ids=[item.server.pk], actor=None, at=clock.now)
    assert pass_hours(3) == (5, "deleted")
    assert item.subscription.reload().status == "ended"
    assert broken_rules() == {}
    assert sum(row.total_minor for row in Invoice.objects.filter(usage_month__isnull=False)) == 752  # 502.5 and 250


def test_a_server_that_is_canceled_before_it_runs_leaves_nothing_reserved(sold: Sold, client: Client) -> None:
    client.force_login(sold.user)
    page = f"/subscriptions/{sold.subscription.pk}/cancel/"
    assert "does not run yet" in client.get(page).content.decode()

    assert client.post(page, {"reason": CancellationReason.UNUSED}).status_code == 302

    assert (sold.subscription.status, sold.item.order.reload().status) == ("ended", OrderStatus.CANCELED)
    assert sold.server.desired_state == DesiredState.ABSENT
    assert wallet_balance(sold.organization) == 336


def test_one_of_several_servers_that_do_not_run_yet_is_canceled_once_it_runs(sold: Sold, client: Client) -> None:
    other = placement.ItemRequest(sold.offer.small, region_of(sold.offer.location), "other")
    give_credit(sold.organization, Money(2000, "USD"))
    both = placement.place_order(
        organization=sold.organization,
        user=sold.user,
        order_request=placement.OrderRequest([replace(other, server_name=name) for name in ("one", "two")]),
        form_token=uuid7(),
        at=APRIL,
    )
    client.force_login(sold.user)
    first = Sold(sold.offer, both.items.get(server_name="one"), sold.user, sold.organization)
    page = f"/subscriptions/{first.subscription.pk}/cancel/"

    answer = client.post(page, {"reason": CancellationReason.UNUSED}, follow=True)
    assert "when it runs" in answer.content.decode()
    assert first.subscription.status == "active"
    run_server(first, 1)
    Server.objects.filter(pk=first.server.pk).update(running_at=APRIL + HOUR)
    client.post(page, {"reason": CancellationReason.UNUSED})

    assert first.subscription.status == "ended"
    assert both.reload().status == OrderStatus.PROVISIONING


def test_a_canceled_server_is_kept_for_three_days_and_not_for_the_weeks_of_one_by_the_month(sold: Sold) -> None:
    run_server(sold, 0)
    at = APRIL + 1.5 * HOUR

    cancellations.cancel(subscription=sold.subscription, reason=CancellationReason.UNUSED, actor=sold.user, at=at)

    assert sold.subscription.planned_deletion_at == at + timedelta(days=3)
