"""Changing a plan, add-ons and the billing cycle: one price for each second, one change at a time, all or nothing."""

from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from billing import invoicing, item_changes, refunds, renewals, subscriptions
from billing.models import (
    BillingMode,
    Invoice,
    InvoiceItem,
    InvoiceState,
    ItemKind,
    Payment,
    PaymentState,
    Period,
    Subscription,
)
from catalog import services as catalog
from catalog.models import Plan, Term
from core.money import Money
from orders.changes import applying, ending, making
from orders.changes.models import PlanChange, PlanChangeStatus
from orders.changes.quoting import ChangeRefused
from orders.models import Order, OrderStatus
from servers import capacity
from servers import services as servers
from servers.capacity import InsufficientCapacity
from servers.models import HoldKind, Node, ProvisioningTask, UsageSample
from support.models import Delivery
from tests.billing.sales import wallet_balance
from tests.builders import make_addon, make_addon_price, make_price
from tests.orders.sold import APRIL, MAY, MIDDLE, Sold, make_offer, make_sold, pay, resized
from tests.servers.test_capacity import assert_counters_agree

pytestmark = pytest.mark.django_db
QUARTER = timedelta(minutes=15)
S = PlanChangeStatus


def lines(change: PlanChange) -> list[tuple[str, str, int]]:
    return [(line["kind"], line["description"], line["amount_minor"]) for line in change.lines]


def in_force(sold: Sold, at: datetime) -> list[str]:
    rows = sold.subscription.items.filter(valid_from__lte=at).exclude(valid_until__lte=at)
    return sorted(rows.values_list("description", flat=True))


def test_an_upgrade_is_paid_from_the_wallet_begins_at_its_quote_and_resizes_the_server() -> None:
    sold = make_sold()
    sold.give_credit()
    change = sold.request(sold.offer.large)
    assert lines(change) == [("credit", "Minecraft 1 GB", -400), ("proration", "Minecraft 2 GB", 1000)]
    assert (change.due, change.recurring) == (Money(600, "USD"), Money(2000, "USD"))

    change = sold.confirm(change)

    assert (change.status, sold.server.memory_mib) == (S.PENDING_PAYMENT, 1024)
    assert sold.offer.node.reload().memory_reserved_mib == 2048
    before = wallet_balance(sold.organization)
    assert making.pay_with_credit(change=change, at=MIDDLE + QUARTER)
    assert wallet_balance(sold.organization) == before - 600
    change, server, subscription = change.reload(), sold.server, sold.subscription
    assert (change.status, server.memory_mib, server.disk_mib) == (S.APPLYING, 2048, 10240)
    assert (server.plan.name, server.resize_asked_at) == ("2 GB", MIDDLE + QUARTER)
    assert ProvisioningTask.objects.get(server=server).state == "queued"
    assert (subscription.amount_minor, subscription.current_period_end) == (2000, MAY)
    assert subscription.change_pending_until is None
    assert in_force(sold, MIDDLE - timedelta(seconds=1)) == ["Minecraft 1 GB"]
    assert in_force(sold, MIDDLE) == ["Minecraft 2 GB"]
    assert_counters_agree()

    resized(sold)

    assert change.reload().status == S.DONE
    assert Delivery.objects.filter(event="plan_change.done").count() == 1
    assert not making.pay_with_credit(change=change, at=MIDDLE + QUARTER)


def test_an_upgrade_is_paid_by_a_payment_and_a_repeat_of_it_changes_nothing() -> None:
    sold = make_sold()
    change = sold.confirm(sold.request(sold.offer.large))
    payment = making.open_payment(change=change, at=MIDDLE)
    assert making.open_payment(change=change, at=MIDDLE) == payment
    assert (payment.amount_minor, change.reload().status) == (600, S.PENDING_PAYMENT)
    assert change.invoice is not None

    pay(change.invoice, MIDDLE + QUARTER)
    pay(change.invoice, MIDDLE + QUARTER)

    assert (change.reload().status, sold.server.memory_mib) == (S.APPLYING, 2048)
    assert wallet_balance(sold.organization) == 0
    with pytest.raises(making.ChangeClosed):
        making.open_payment(change=change, at=MIDDLE)


def test_an_addon_is_added_beside_the_plan_that_keeps_its_price() -> None:
    sold = make_sold()
    sold.give_credit()
    catalog.offer_price(item=sold.offer.small.plan, term=Term.MONTHLY, amount=Money(9000, "USD"), at=MIDDLE)

    change = sold.change_to(sold.offer.small, sold.offer.addon, at=MIDDLE)

    assert change.changed_units == ["1 GB more: 0 → 1"]
    assert lines(change)[1:] == [("proration", "1 GB more", 200)]
    assert (sold.server.memory_mib, sold.subscription.amount_minor) == (2048, 1200)
    later = sold.change_to(sold.offer.large, sold.offer.addon, at=MIDDLE + timedelta(days=5))
    assert lines(later) == [("credit", "Minecraft 1 GB", -267), ("proration", "Minecraft 2 GB", 667)]
    assert (sold.server.memory_mib, sold.subscription.amount_minor) == (3072, 2400)


def test_a_smaller_plan_begins_with_the_next_period_and_costs_nothing_now() -> None:
    sold = make_sold()
    sold.give_credit()
    sold.change_to(sold.offer.large, at=MIDDLE)

    change = sold.change_to(sold.offer.small, at=MIDDLE + QUARTER)

    assert (change.status, change.due_minor, change.effective_at) == (S.SCHEDULED, 0, MAY)
    assert (sold.server.memory_mib, sold.subscription.amount_minor) == (2048, 800)
    june = Period(MAY, datetime(2026, 6, 1, tzinfo=MAY.tzinfo))
    assert [line.amount.minor for line in renewals.renewal_lines(sold.subscription, june)] == [800]
    assert applying.apply_due(at=MAY) == 0  # its period is not paid
    assert subscriptions.advance(subscription=sold.subscription, period=june)
    assert applying.apply_due(at=MAY) == 1
    assert (change.reload().status, sold.server.memory_mib) == (S.APPLYING, 1024)
    assert sold.offer.node.reload().memory_reserved_mib == 2048  # until the provider has made it smaller
    assert applying.apply_due(at=MAY) == 0


def test_a_scheduled_change_can_be_canceled_until_its_period_is_billed() -> None:
    sold = make_sold()
    yearly = make_price(sold.offer.small.plan, minor=8000, term=Term.YEARLY, at=APRIL)
    change = sold.change_to(yearly, at=MIDDLE)
    assert (change.status, sold.subscription.term, sold.subscription.amount_minor) == (S.SCHEDULED, "yearly", 8000)
    with pytest.raises(making.AnotherChangeOpen):
        sold.request(sold.offer.large)

    assert ending.cancel(change=change, actor=sold.user, at=MIDDLE)
    assert not ending.cancel(change=change, actor=sold.user, at=MIDDLE)

    assert (change.reload().status, sold.subscription.term, sold.subscription.amount_minor) == (
        S.CANCELED,
        "monthly",
        800,
    )
    assert in_force(sold, MAY) == ["Minecraft 1 GB"]
    again = sold.change_to(yearly, at=MIDDLE)
    bill(sold, Period(MAY, MAY + timedelta(days=365)))
    assert not ending.cancel(change=again, actor=sold.user, at=MIDDLE)


def bill(sold: Sold, period: Period) -> Invoice:
    """The next period's invoice."""
    found = renewals.renewal_lines(sold.subscription, period)
    return invoicing.draft_invoice(organization=sold.organization, currency="USD", lines=found, at=MIDDLE)


def test_the_price_of_the_quote_holds_and_an_expired_or_outdated_quote_is_refused() -> None:
    sold = make_sold()
    change = sold.request(sold.offer.large)
    catalog.offer_price(item=sold.offer.large.plan, term=Term.MONTHLY, amount=Money(9900, "USD"), at=MIDDLE)
    with pytest.raises(making.QuoteOutdated):
        sold.confirm(change, at=change.expires_at)
    Subscription.objects.update(current_period_end=MAY + timedelta(days=1))
    with pytest.raises(making.QuoteOutdated):
        sold.confirm(change)
    Subscription.objects.update(current_period_end=MAY)
    Plan.objects.filter(pk=sold.offer.large.plan_id).update(is_active=False)
    with pytest.raises(ChangeRefused):
        sold.confirm(change)
    Plan.objects.filter(pk=sold.offer.large.plan_id).update(is_active=True)

    confirmed = sold.confirm(change)

    assert (confirmed.due_minor, confirmed.recurring) == (600, Money(2000, "USD"))
    assert sold.confirm(change).invoice_id == confirmed.invoice_id


def test_what_is_not_paid_in_time_is_released_and_late_money_becomes_credit() -> None:
    sold = make_sold()
    Plan.objects.filter(pk=sold.offer.large.plan_id).update(stock=1)
    change = sold.confirm(sold.request(sold.offer.large))
    payment = making.open_payment(change=change, at=MIDDLE)
    assert Plan.objects.get(pk=sold.offer.large.plan_id).stock == 0
    late = change.expires_at + QUARTER
    assert ending.expire_due(at=late) == 0  # its payment is polled first
    Payment.objects.filter(pk=payment.pk).update(state=PaymentState.EXPIRED)

    assert ending.expire_due(at=late) == 1

    assert (change.reload().status, sold.subscription.change_pending_until) == (S.EXPIRED, None)
    assert Plan.objects.get(pk=sold.offer.large.plan_id).stock == 1
    assert sold.offer.node.reload().memory_reserved_mib == 1024
    assert change.invoice is not None
    pay(change.invoice, late)
    assert (change.invoice.reload().state, wallet_balance(sold.organization)) == (InvoiceState.REFUNDED, 600)
    assert (sold.server.memory_mib, in_force(sold, late)) == (1024, ["Minecraft 1 GB"])
    assert not sold.server.has_holds()
    assert_counters_agree()
    again = sold.confirm(sold.request(sold.offer.large, at=late), at=late)
    assert making.pay_with_credit(change=again, at=late)
    assert sold.server.memory_mib == 2048


def test_money_that_comes_after_the_next_change_becomes_credit_too() -> None:
    sold = make_sold()
    first = sold.confirm(sold.request(sold.offer.large))
    making.open_payment(change=first, at=MIDDLE)
    assert ending.cancel(change=first, actor=sold.user, at=MIDDLE)
    sold.give_credit(5000)
    sold.change_to(sold.offer.large, at=MIDDLE + QUARTER)
    before = wallet_balance(sold.organization)
    assert first.invoice is not None

    paid = pay(first.invoice, MIDDLE + 2 * QUARTER)

    assert (paid.reload().state, wallet_balance(sold.organization)) == (PaymentState.SUCCEEDED, before + 600)
    assert (first.reload().status, sold.server.memory_mib) == (S.CANCELED, 2048)


def test_where_the_capacity_is_gone_or_the_period_refunded_the_money_becomes_credit() -> None:
    for spoil in (fill_node, refund_period, bill_next):
        sold = make_sold()
        change = sold.confirm(sold.request(sold.offer.large))
        making.open_payment(change=change, at=MIDDLE)
        assert change.invoice is not None
        spoil(sold, change)
        before = wallet_balance(sold.organization)

        pay(change.invoice, MIDDLE + QUARTER)

        assert change.reload().status == S.FAILED, spoil
        assert wallet_balance(sold.organization) - before == 600
        assert sold.server.memory_mib == 1024
        assert in_force(sold, MIDDLE + QUARTER) == ["Minecraft 1 GB"]
        assert_counters_agree()


def release_extension(change: PlanChange) -> None:
    assert change.reservation_id is not None
    capacity.release(reservation_ids=[change.reservation_id], at=MIDDLE)


def fill_node(sold: Sold, change: PlanChange) -> None:
    release_extension(change)
    Node.objects.filter(pk=sold.offer.node.pk).update(memory_sellable_mib=1024)


def bill_next(sold: Sold, _change: PlanChange) -> None:
    bill(sold, Period(MAY, MAY + timedelta(days=31)))


def test_a_payment_that_a_bank_took_days_for_still_changes_the_server() -> None:
    sold = make_sold()
    change = sold.confirm(sold.request(sold.offer.large))
    making.open_payment(change=change, at=MIDDLE)
    release_extension(change)
    assert change.invoice is not None

    pay(change.invoice, MIDDLE + timedelta(days=3))

    assert (change.reload().status, sold.server.memory_mib) == (S.APPLYING, 2048)
    assert_counters_agree()


def refund_period(sold: Sold, _change: PlanChange) -> None:
    refunds.credit_invoice(invoice=Invoice.objects.get(order=sold.item.order_id), at=MIDDLE)


def test_limited_stock_moves_from_the_old_plan_to_the_new_one() -> None:
    offer = make_offer()
    Plan.objects.filter(pk=offer.small.plan_id).update(stock=3)
    Plan.objects.filter(pk=offer.large.plan_id).update(stock=1)
    sold, other = make_sold(offer), make_sold(offer)
    stock = lambda: [Plan.objects.get(pk=price.plan_id).stock for price in (offer.small, offer.large)]  # noqa: E731
    assert stock() == [1, 1]
    sold.give_credit()

    sold.change_to(offer.large, at=MIDDLE)

    assert stock() == [2, 0]
    with pytest.raises(catalog.SoldOut):
        other.change_to(offer.large, at=MIDDLE)
    canceled = sold.change_to(offer.small, at=MIDDLE + QUARTER)
    assert stock() == [1, 0]
    assert ending.cancel(change=canceled, actor=None, at=MIDDLE + QUARTER)
    assert stock() == [2, 0]


def test_a_node_without_room_refuses_and_keeps_nothing() -> None:
    sold = make_sold(memory_mib=2047)
    change = sold.request(sold.offer.large)

    with pytest.raises(InsufficientCapacity):
        sold.confirm(change)

    assert change.reload().status == S.QUOTED
    assert not Invoice.objects.filter(plan_change=change).exists()
    assert sold.subscription.items.count() == 1
    assert_counters_agree()


def hold(sold: Sold) -> None:
    servers.hold_servers(server_ids=[sold.server.pk], kind=HoldKind.ABUSE, reason="test", actor=None, at=MIDDLE)


def use_disk(sold: Sold) -> None:
    figures = {"cpu_percent": 1, "memory_mib": 1, "disk_mib": 6000, "received_bytes": 0, "sent_bytes": 0}
    UsageSample.objects.create(
        server=sold.server,
        organization=sold.organization,
        at=MIDDLE,
        power_state="running",
        uptime_seconds=1,
        **figures,
    )


def is_past_due(sold: Sold) -> None:
    subscriptions.mark_past_due(subscription=sold.subscription)


def is_gateway_billed(sold: Sold) -> None:
    Subscription.objects.filter(pk=sold.item.subscription_id).update(billing_mode=BillingMode.GATEWAY)


def is_billed(sold: Sold) -> None:
    bill(sold, Period(MAY, MAY + timedelta(days=31)))


def is_undelivered(sold: Sold) -> None:
    """Another of its servers could not be created: the order is refunded soon, and a change would not be."""
    Order.objects.filter(items=sold.item).update(status=OrderStatus.FAILED)


@pytest.mark.parametrize("spoil", [hold, is_past_due, is_gateway_billed, is_billed, is_undelivered, refund_period])
def test_a_sale_that_cannot_be_changed_now_says_why(spoil: Callable[..., None]) -> None:
    sold = make_sold()
    spoil(sold, None) if spoil is refund_period else spoil(sold)

    with pytest.raises(ChangeRefused) as refused:
        sold.request(sold.offer.large)

    assert len(str(refused.value)) > 30
    assert not PlanChange.objects.exists()


def test_what_cannot_be_delivered_is_refused() -> None:
    sold = make_sold()
    with pytest.raises(ChangeRefused, match="already"):
        sold.request(sold.offer.small)
    unknown = make_addon_price(make_addon(sold.offer.small.plan.product, kind="dedicated_ip"), at=APRIL)
    with pytest.raises(ChangeRefused, match="cannot become"):
        sold.request(sold.offer.small, unknown)
    sold.give_credit()
    sold.change_to(sold.offer.large, at=MIDDLE)
    use_disk(sold)
    with pytest.raises(ChangeRefused, match="6000"):
        sold.request(sold.offer.small, at=MIDDLE + timedelta(minutes=1))


def test_a_discount_is_not_paid_back_and_ends_with_what_it_was_given_for() -> None:
    sold = make_sold()
    billed = InvoiceItem.objects.get(subscription=sold.subscription)
    of_sale = {"subscription_id": billed.subscription_id, "currency": "USD"}
    discount = InvoiceItem(kind=ItemKind.DISCOUNT, amount_minor=-200, **of_sale)
    setup = InvoiceItem(kind=ItemKind.SETUP, amount_minor=200, **of_sale)
    assert item_changes.net_of_discounts([billed, setup, discount]) == {billed.pk: Fraction(600)}
    june = datetime(2026, 6, 1, tzinfo=MAY.tzinfo)
    for periods, until in ((2, june), (None, None)):
        sold.subscription.items.create(
            organization=sold.organization,
            kind=ItemKind.DISCOUNT,
            description="Welcome",
            unit_minor=-100,
            periods=periods,
            valid_from=APRIL,
            valid_until=until,
            currency="USD",
        )
    Subscription.objects.update(amount_minor=700)
    yearly = make_price(sold.offer.small.plan, minor=8000, term=Term.YEARLY, at=APRIL)

    change = sold.change_to(yearly, at=MIDDLE)

    assert [line["kind"] for line in change.lines] == ["discount", "discount"]
    assert (in_force(sold, MAY), sold.subscription.amount_minor) == (["Minecraft 1 GB"], 8000)
    assert ending.cancel(change=change, actor=None, at=MIDDLE)
    assert in_force(sold, MAY) == ["Minecraft 1 GB", "Welcome", "Welcome"]
    assert (in_force(sold, june), sold.subscription.amount_minor) == (["Minecraft 1 GB", "Welcome"], 700)
    sold.give_credit()
    sold.change_to(sold.offer.large, at=MIDDLE)
    assert (in_force(sold, MAY), sold.subscription.amount_minor) == (["Minecraft 2 GB"], 2000)


def test_random_changes_cost_what_was_in_force_in_each_second() -> None:
    random = Random(8)
    for history in range(4):
        sold = make_sold(make_offer(small=random.randrange(1, 5000), large=5000 + random.randrange(5000)))
        sold.give_credit()
        instants = sorted(APRIL + timedelta(seconds=random.randrange(1, 30 * 86400)) for _ in range(4))
        offer, addons, plan = sold.offer, list[Any](), sold.offer.small
        for at in instants:
            if random.random() < 0.5:
                plan = offer.large
            else:
                addons = [offer.addon] * random.randrange(4)
            try:
                change = sold.request(plan, *addons, at=at)
            except (ChangeRefused, making.AnotherChangeOpen):
                continue
            if random.random() < 0.2:
                assert ending.cancel(change=change, actor=None, at=at)
                continue
            change = sold.confirm(change, at=at)
            if change.invoice_id:
                assert making.pay_with_credit(change=change, at=at + QUARTER)
                resized(sold)
        assert_paid_by_the_second(sold, history)
        assert_counters_agree()


def assert_paid_by_the_second(sold: Sold, history: int) -> None:
    """What was charged less what was credited is the price in force, and each item is billed once in each second."""
    items = list(sold.subscription.items.filter(valid_from__isnull=False))
    billed = list(InvoiceItem.objects.filter(subscription=sold.subscription, invoice__state="paid"))
    edges = sorted(
        {
            APRIL,
            MAY,
            *(row.valid_from for row in items if row.valid_from),
            *(row.valid_until for row in items if row.valid_until),
        }
    )
    used = Fraction(0)
    for since, until in pairwise(edges):
        for row in items:
            is_in_force = (
                row.valid_from is not None
                and row.valid_from <= since
                and (row.valid_until is None or row.valid_until > since)
            )
            signs = [
                -1 if line.kind == ItemKind.CREDIT else 1
                for line in billed
                if line.subscription_item_id == row.pk
                and line.period_start
                and line.period_end
                and line.period_start <= since < line.period_end
            ]
            assert sum(signs) == is_in_force, (history, since, row)
            if is_in_force:
                price = Fraction(int(row.unit_minor)) * row.quantity
                used += price * Fraction((until - since) // timedelta(seconds=1), 30 * 86400)
    assert abs(sum(line.amount_minor for line in billed) - used) <= len(billed), history
