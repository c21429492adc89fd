"""Sizes chosen freely: so many units of an add-on, each at its price, frozen by the order and renewed at it."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import Invoice, RunKind, SubscriptionItem
from billing.runs import runner
from catalog import services as catalog
from catalog.models import Addon, AddonKind, AddonPrice, Term
from core.money import Money
from orders.changes import ending
from orders.changes.models import PlanChange
from orders.changes.offers import NotSoldSo, change_offer
from orders.changes.quoting import ChangeRefused, quote_change
from orders.models import Order, OrderItem, OrderItemAddon
from servers.capacity import InsufficientCapacity
from servers.models import Allocation, Node, Server
from tests.builders import make_addon, make_addon_price, make_plan, make_price
from tests.orders.sold import APRIL, MAY, MIDDLE, give_credit, make_sold
from tests.orders.test_plan_changes import use_disk
from tests.servers.test_capacity import assert_counters_agree
from tests.shop import Clock, Shop, deliver_webhooks, form_data, panel_servers, run_until_idle

CONFIGURE = "/products/minecraft/configure/"
UNITS = "units-memory"


@pytest.fixture
def memory(shop: Shop) -> Addon:
    """Up to four times 512 MiB at a dollar."""
    sizes = {"kind": AddonKind.MEMORY, "quantity": 512, "max_units": 4}
    addon = make_addon(shop.price.plan.product, code="memory", name="Memory, 512 MB", **sizes)
    make_addon_price(addon, minor=100)
    return addon


@pytest.fixture
def browser(shop: Shop, client: Client) -> Client:
    client.force_login(shop.customer)
    return client


def test_units_are_priced_reserved_delivered_and_renewed_at_the_price_they_were_sold_at(
    shop: Shop, memory: Addon, browser: Client
) -> None:
    clock = Clock(shop.sandbox)
    page = browser.get(f"{CONFIGURE}?{UNITS}=3&term=monthly")
    assert page.context["quote"].due_today == Money(1100, "USD")
    assert "Memory, 512 MB × 3" in page.content.decode()
    assert 'max="4"' in page.content.decode()
    sent = form_data(shop, **{UNITS: "3"})
    browser.post(CONFIGURE, sent | {"add_to_cart": "1"})
    (row,) = browser.get("/cart/").context["rows"]
    assert (row.total, row.item.details.endswith("Memory, 512 MB × 3")) == (Money(1100, "USD"), True)

    answer = browser.post(CONFIGURE, sent)

    order = Order.objects.get()
    assert order.total_minor == 1100
    assert browser.post(CONFIGURE, sent)["Location"] == answer["Location"]
    assert OrderItemAddon.objects.get().quantity == 3
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 1024 + 3 * 512
    shop.sandbox.pay(answer["Location"])
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    assert panel_servers(shop.sandbox)[0]["memory"] == 1024 + 3 * 512
    sold = SubscriptionItem.objects.get(kind="addon")
    assert (int(sold.quantity), int(sold.unit_minor)) == (3, 100)

    catalog.offer_price(item=memory, term=Term.MONTHLY, amount=Money(500, "USD"), at=clock.now)
    end = sold.subscription.reload().current_period_end
    assert end
    runner.execute(RunKind.RENEW, at=end)
    renewal = Invoice.objects.exclude(pk=order.invoice_id).get()
    assert (renewal.total_minor, {int(line.quantity) for line in renewal.items.all()}) == (1100, {1, 3})


def test_a_number_of_units_that_is_not_sold_is_refused_beside_its_field(
    shop: Shop, memory: Addon, browser: Client
) -> None:
    for wrong in ("-1", "5", "9" * 30, "1.5", "two"):
        answer = browser.post(CONFIGURE, form_data(shop, **{UNITS: wrong}))
        assert (answer.status_code, answer.context["form"].errors) == (422, {UNITS: ["Enter a number from 0 to 4."]})
        assert answer.context["quote"].due_today == Money(800, "USD")
    form = form_data(shop, **{UNITS: "2"})
    catalog.offer_price(item=memory, term=Term.MONTHLY, amount=Money(500, "USD"), at=Clock(shop.sandbox).now)
    answer = browser.post(CONFIGURE, form)
    assert "has changed from $1.00 to $5.00 / month" in answer.context["form"].errors[UNITS][0]
    assert not Order.objects.exists()


def test_units_are_changed_on_the_page_quoted_line_by_line_and_delivered(
    shop: Shop, memory: Addon, browser: Client
) -> None:
    clock = Clock(shop.sandbox)
    ports = make_addon(shop.price.plan.product, code="port", name="Port", kind="ports", quantity=1, max_units=2)
    make_addon_price(ports, minor=50)
    answer = browser.post(CONFIGURE, form_data(shop, **{UNITS: "3"}))
    shop.sandbox.pay(answer["Location"])
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    give_credit(shop.organization, Money(5000, "USD"))
    choose = reverse("orders:choose_plan", kwargs={"pk": Server.objects.get().pk})
    page = browser.get(choose).content.decode()
    assert 'name="units-memory" value="3" data-slider="" placeholder="0" min="0" max="4"' in page
    sent = {"plan": shop.price.plan.code, "term": "monthly", UNITS: "5"}
    answer = browser.post(choose, sent)
    assert (answer.status_code, answer.context["form"].errors) == (422, {UNITS: ["Enter a number from 0 to 4."]})

    answer = browser.post(choose, sent | {UNITS: "4", "units-port": "2"}, follow=True)

    page = answer.content.decode()
    for text in (
        "Memory, 512 MB: 3 → 4",
        "Port: 0 → 2",
        "Memory, 512 MB, until",
        "Port × 2, until",
        "costs $13.00/month",
    ):
        assert text in page
    change = PlanChange.objects.get()
    browser.post(
        reverse("orders:confirm_plan_change", kwargs={"pk": change.pk}), {"uses_credit": "on", "shown_credit": "5000"}
    )
    run_until_idle(clock)
    (server,) = panel_servers(shop.sandbox)
    assert (server["memory"], change.reload().status) == (1024 + 4 * 512, "done")
    assert Allocation.objects.filter(reservation__server__isnull=False).count() == 3
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 1024 + 4 * 512
    assert_counters_agree()


@pytest.mark.django_db
def test_more_units_cost_todays_price_at_once_and_of_fewer_the_cheapest_stay() -> None:
    sold = make_sold()
    sold.give_credit()
    plan, old = sold.offer.small, sold.offer.addon
    sold.change_to(plan, *[old] * 3, at=APRIL)
    new = catalog.offer_price(item=old.addon, term=Term.MONTHLY, amount=Money(500, "USD"), at=MIDDLE)
    assert isinstance(new, AddonPrice)

    more = sold.change_to(plan, *[new] * 5, at=MIDDLE)

    assert more.changed_units == ["1 GB more: 3 → 5"]
    assert [(line["description"], line["amount"].minor) for line in more.quoted_lines] == [("1 GB more × 2", 500)]
    assert (sold.subscription.amount_minor, sold.server.memory_mib) == (800 + 3 * 400 + 2 * 500, 6 * 1024)

    Addon.objects.update(is_active=False)  # what a customer has, they keep
    fewer = sold.change_to(plan, *[old] * 2, at=MIDDLE + timedelta(days=1))
    assert (fewer.status, fewer.due_minor, fewer.effective_at) == ("scheduled", 0, MAY)
    assert (fewer.recurring, sold.server.memory_mib) == (Money(800 + 2 * 400, "USD"), 6 * 1024)
    assert ending.cancel(change=fewer, actor=sold.user, at=MIDDLE + timedelta(days=1))
    assert sold.subscription.amount_minor == 3000
    with pytest.raises(ChangeRefused, match="no longer sold"):
        sold.request(plan, *[new.reload()] * 6, at=MIDDLE + timedelta(days=1))


@pytest.mark.django_db
def test_units_are_reserved_before_they_are_billed_and_no_less_disk_than_is_used() -> None:
    sold = make_sold(memory_mib=1024 + 2048)
    sold.give_credit()
    change = sold.request(None, *[sold.offer.addon] * 3)
    with pytest.raises(InsufficientCapacity):
        sold.confirm(change)
    assert not change.reload().begun_items
    disk = make_addon_price(make_addon(sold.offer.small.plan.product, kind="disk", max_units=9), minor=100, at=APRIL)
    sold.change_to(sold.offer.small, *[disk] * 2, at=APRIL)
    use_disk(sold)  # 6000 MiB
    with pytest.raises(ChangeRefused, match="6000 MiB"):
        sold.request(sold.offer.small)
    assert sold.request(sold.offer.small, disk, at=MIDDLE + timedelta(days=1)).changed_units == ["1 GB more: 2 → 1"]


def test_a_plan_change_keeps_the_units_and_their_price_and_another_billing_cycle_has_its_own(
    shop: Shop, memory: Addon, browser: Client
) -> None:
    clock = Clock(shop.sandbox)
    larger = make_price(make_plan(shop.price.plan.product, code="mc-2gb", memory_mib=2048), minor=1600)
    make_price(larger.plan, minor=4500, term=Term.QUARTERLY)
    make_addon_price(memory, minor=300, term=Term.QUARTERLY)
    answer = browser.post(CONFIGURE, form_data(shop, **{UNITS: "3"}))
    shop.sandbox.pay(answer["Location"])
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    item = OrderItem.objects.select_related("subscription__organization", "server__blueprint").get()
    server = Server.objects.select_related("blueprint").get()
    at = clock.now + timedelta(days=3)
    AddonPrice.objects.filter(addon=memory, term=Term.MONTHLY).update(superseded_at=at)
    offer = change_offer(item.subscription, server, at)

    quoted = quote_change(
        item=item, selection=offer.selection(plan="mc-2gb", term="monthly", units={"memory": 3}), quoted_at=at
    )

    assert (quoted.recurring, quoted.limits.size.memory_mib) == (Money(1900, "USD"), 2048 + 3 * 512)
    quarterly = offer.selection(plan="mc-2gb", term="quarterly", units={"memory": 4})
    quoted = quote_change(item=item, selection=quarterly, quoted_at=at)
    assert (quoted.recurring, quoted.effective_at) == (
        Money(4500 + 4 * 300, "USD"),
        item.subscription.current_period_end,
    )
    with pytest.raises(NotSoldSo, match="vps-1gb"):  # only the form keeps another product's plan away
        offer.selection(plan="vps-1gb", term="monthly", units={})
    with pytest.raises(NotSoldSo, match="Memory"):  # no more of what is no longer offered
        offer.selection(plan="mc-2gb", term="monthly", units={"memory": 4})
    AddonPrice.objects.filter(addon=memory).update(superseded_at=at)
    with pytest.raises(NotSoldSo, match="Memory"):
        change_offer(item.subscription, server, at).selection(plan="mc-2gb", term="quarterly", units={"memory": 3})
