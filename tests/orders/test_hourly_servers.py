"""A server by the hour: prepaid, charged while it runs, changed with the next hour, and canceled at once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from billing import cancellations, ledger_audit, metering
from billing.models import CancellationReason, Invoice, RunKind, Subscription, UsageCycle
from billing.runs import runner
from catalog.models import Term
from core.ids import uuid7
from core.money import Money, Rate
from orders import placement
from orders.changes import applying, making
from orders.changes.models import PlanChangeStatus
from orders.changes.quoting import ChangeRefused, Selection
from orders.models import OrderItem
from orders.prepayment import PrepaymentNeeded
from servers import events as server_events
from servers import services as servers
from servers.models import Reservation, Server, ServerHold, ServerStatus
from tests.billing.sales import wallet_balance
from tests.builders import make_organization, make_price
from tests.orders.sold import APRIL, MAY, Sold, give_credit, make_offer
from tests.orders.test_plan_changes import fill_node
from tests.servers.builders import region_of

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

    change = sold.request(sold.offer.large, at=APRIL + 2.7 * HOUR)
    assert (change.effective_at, change.due_minor) == (APRIL + 3 * HOUR, 0)
    assert change.recurring == Rate(Decimal(5), "USD")
    sold.confirm(change, at=APRIL + 2.8 * HOUR)
    assert meter(3.1) == [2, 5]
    applying.apply_due(at=APRIL + 3.2 * HOUR)
    assert change.reload().status == PlanChangeStatus.APPLYING
    assert sold.server.memory_mib == 2048

    canceled: dict[str, Any] = {"reason": CancellationReason.UNUSED, "actor": sold.user, "at": APRIL + 5.1 * HOUR}
    cancellations.cancel(subscription=sold.subscription, **canceled)

    row = sold.subscription
    assert (row.status, row.ended_at) == ("ended", canceled["at"])
    assert meter(7) == [2, 5, 5, 5]
    assert wallet_balance(sold.organization) == 336 - 17
    assert ServerHold.objects.filter(server=sold.server, lifted_at=None).exists()
    assert ledger_audit.broken_rules().keys() <= {"account_not_rows"}  # the credit has no payment


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


def test_the_configurator_says_to_a_customer_what_the_wallet_must_hold(sold: Sold, client: Client) -> None:
    client.force_login(sold.user)
    plan = sold.offer.small.plan

    page = client.get(f"/products/{plan.product.slug}/configure/", {"plan": plan.code, "term": Term.HOURLY})

    assert "It must hold $6.72 before you order." in page.content.decode()
