"""All webhooks lost for a week: with the gateway's list of events alone, everything ends as with webhooks."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import Organization
from billing.models import BillingMode, Invoice, Payment, Posting, Refund, Subscription, SubscriptionStatus
from billing.reconciliation import catch_up
from sandbox.client import Sandbox
from servers.models import Server, ServerHold, ServerStatus
from tests.billing.sales import make_sale, transactions
from tests.builders import make_price
from tests.shop import (
    Clock,
    Shop,
    create_session,
    deliver_webhooks,
    make_shop,
    place_order,
    run_until_idle,
)
from tests.stripe_dashboard import know_price, write

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)
WAYS = ("webhooks", "events listed each day", "events listed after a week")


@dataclass
class Books:
    """How everything of one organization stands; of a server, whether it runs and what holds it."""

    balances: dict[tuple[str, str], int]
    invoices: list[tuple[str, int]]
    payments: list[tuple[str, int, int]]
    refunds: list[tuple[str, int]]
    subscriptions: list[tuple[str, bool, int]]
    servers: list[tuple[bool, str]]


# A subscription and its renewal, and three servers: one is kept, one is refunded and not renewed, one was disputed and
# won.
BOOKS = Books(
    balances={("clearing", "USD"): -3200, ("refunds", "USD"): -800, ("revenue", "USD"): 4000},
    invoices=[*[("paid", 800)] * 4, ("refunded", 800)],
    payments=[("refunded", 800, 800), *[("succeeded", 800, 0)] * 4],
    refunds=[("succeeded", 800)],
    subscriptions=[*[("active", False, 1)] * 2, ("active", False, 2), ("active", True, 1)],
    servers=[(False, "billing"), (True, ""), (True, "")],
)


def books_of(organization: Organization) -> Books:
    """The organization's books, without instants and ids."""
    balances: Counter[tuple[str, str]] = Counter()
    postings = Posting.objects.filter(entry__organization=organization)
    for kind, currency, amount in postings.values_list("account__kind", "currency", "amount_minor"):
        balances[kind, currency] += amount
    mine = {"organization": organization}
    held = ServerHold.objects.filter(lifted_at=None).order_by("kind")
    return Books(
        balances={key: amount for key, amount in balances.items() if amount},
        invoices=sorted(Invoice.objects.filter(**mine).values_list("state", "total_minor")),
        payments=sorted(Payment.objects.filter(**mine).values_list("state", "received_minor", "refunded_minor")),
        refunds=sorted(Refund.objects.filter(**mine).values_list("state", "amount_minor")),
        subscriptions=sorted(
            (row.status, row.cancels_at_period_end, row.invoice_items.count())
            for row in Subscription.objects.filter(**mine)
        ),
        servers=sorted(
            (server.status == ServerStatus.RUNNING, ",".join(held.filter(server=server).values_list("kind", flat=True)))
            for server in Server.objects.filter(**mine)
        ),
    )


def live_through(shop: Shop, clock: Clock, after_each_day: Callable[[], None]) -> None:
    """A month with webhooks, in which a subscription begins; then a week, in which `after_each_day` brings the news."""
    sandbox = shop.sandbox
    renewed = make_sale(
        at=clock.now,
        price=know_price(make_price()),
        billing_mode=BillingMode.GATEWAY,
        organization=shop.organization,
    )
    sandbox.pay(renewed.create_session(at=clock.now))
    deliver_webhooks(sandbox)
    run_until_idle(clock)
    assert renewed.subscription.reload().status == SubscriptionStatus.ACTIVE
    clock.pass_by(26 * DAY)

    bought: list[str] = []
    for _ in range(3):
        order = place_order(shop, at=clock.now)
        sandbox.pay(create_session(order, at=clock.now))
        bought.append(transactions(sandbox)[-1])
        clock.pass_by(DAY)
        after_each_day()
    _kept, refunded, disputed = bought
    params: Any = {"payment_intent": refunded}
    write("by hand", lambda stripe: stripe.v1.refunds.create(params))
    dispute = sandbox.dispute(disputed)["id"]
    clock.pass_by(DAY)
    after_each_day()
    sandbox.close_dispute(dispute, "won")
    for _ in range(3):  # the subscription renews
        clock.pass_by(DAY)
        after_each_day()


@pytest.mark.parametrize("way", WAYS)
def test_with_all_webhooks_lost_for_a_week_the_books_end_the_same(stripe_sandbox: Sandbox, way: str) -> None:
    clock = Clock(stripe_sandbox)
    shop = make_shop(stripe_sandbox)

    def catch_up_events() -> None:
        catch_up.catch_up_events(gateway="stripe", at=clock.now)
        run_until_idle(clock)

    def take_webhooks() -> None:
        deliver_webhooks(stripe_sandbox)
        run_until_idle(clock)

    def do_nothing() -> None:
        """Neither webhooks nor workers."""

    ways = dict(zip(WAYS, (take_webhooks, catch_up_events, do_nothing), strict=True))
    live_through(shop, clock, ways[way])
    expected = BOOKS
    if way == WAYS[-1]:
        catch_up_events()
        # An order that was refunded before its server was built is canceled, and its subscription ends at once.
        ended = [*[("active", False, 1)] * 2, ("active", False, 2), ("ended", True, 1)]
        expected = replace(BOOKS, subscriptions=ended)

    assert books_of(shop.organization) == expected
