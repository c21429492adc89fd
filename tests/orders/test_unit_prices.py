"""Sizes chosen freely: so many units of an add-on, each at its price, frozen by the order and renewed at it."""

from datetime import timedelta

import pytest
from django.test import Client

from billing.models import Invoice, RunKind, SubscriptionItem
from billing.runs import runner
from catalog import services as catalog
from catalog.models import Addon, AddonKind, AddonPrice, Term
from core.money import Money
from orders.changes import making
from orders.changes.offers import change_offer
from orders.changes.quoting import ChangeRefused, quote_change
from orders.models import Order, OrderItem, OrderItemAddon
from servers.models import Node, Server
from tests.builders import make_addon, make_addon_price, make_plan, make_price
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


def test_a_plan_change_keeps_the_units_and_their_price(shop: Shop, memory: Addon, browser: Client) -> None:
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
        item=item, selection=offer.selection(plan="mc-2gb", term="monthly", addons=["memory"]), quoted_at=at
    )

    assert (quoted.recurring, quoted.limits.size.memory_mib) == (Money(1900, "USD"), 2048 + 3 * 512)
    quarterly = offer.selection(plan="mc-2gb", term="quarterly", addons=["memory"])
    with pytest.raises(ChangeRefused, match="keeps its billing cycle"):
        making.request_change(item=item, selection=quarterly, actor=shop.customer, at=at)
