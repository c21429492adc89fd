"""Stripe's webhooks over real HTTP into a running server: lost, doubled, out of order, forged; the end is the same."""

from collections.abc import Callable
from typing import Any

import pytest

from billing.models import EventResult, GatewayEvent
from core.models import WorkState
from sandbox.client import Sandbox
from tests.faults.purchase import Purchase, assert_one_of_everything
from tests.sandbox_fixtures import WEBHOOK_SECRET
from tests.shop import WEBHOOK

pytestmark = pytest.mark.faults
EVENTS = 8  # that Stripe sends about one purchase
PAID = "checkout.session.completed"
OLD_SECONDS = 3 * 300  # three times the age that a signature may have

type Disturb = Callable[[Sandbox], None]


@pytest.fixture
def purchase(purchase: Purchase, live_server: Any) -> Purchase:
    """A purchase in a shop whose webhook Stripe really calls, with quick retries."""
    sandbox = purchase.shop.sandbox
    sandbox.stripe_settings(gaps=[0.05, 0.05, 0.05], timeout=10.0)
    sandbox.stripe_endpoint(f"{live_server.url}{WEBHOOK}", WEBHOOK_SECRET)
    return purchase


def buy(purchase: Purchase) -> None:
    """The purchase, its workers beginning when every delivery has come to its end."""
    purchase.run(deliver_webhooks=Sandbox.settle_webhooks)


def statuses(sandbox: Sandbox, kind: str = "*") -> list[int | None]:
    """What our server answered to each attempt, for one type of event or for all."""
    deliveries = [delivery for delivery in sandbox.deliveries() if kind in {"*", delivery["type"]}]
    return [attempt["status"] for delivery in deliveries for attempt in delivery["tries"]]


def came_by_webhook() -> bool:
    """Whether the payment was found by a webhook, not by polling."""
    return GatewayEvent.objects.filter(type=PAID, result=EventResult.PROCESSED).exists()


def test_as_usual(purchase: Purchase) -> None:
    buy(purchase)

    assert statuses(purchase.shop.sandbox) == [200] * EVENTS
    assert came_by_webhook()
    assert_one_of_everything(purchase.shop)


def test_no_webhook_ever_arrives(purchase: Purchase) -> None:
    purchase.shop.sandbox.drop_webhooks()
    buy(purchase)

    assert not GatewayEvent.objects.exists()
    assert_one_of_everything(purchase.shop)


def test_only_the_one_about_the_payment_is_lost(purchase: Purchase) -> None:
    purchase.shop.sandbox.drop_webhooks(types=[PAID])
    buy(purchase)

    assert GatewayEvent.objects.count() == EVENTS - 1
    assert_one_of_everything(purchase.shop)


@pytest.mark.parametrize(
    ("disturb", "tries"),
    [
        (lambda stripe: stripe.duplicate_webhooks(5), 5),
        (lambda stripe: stripe.concurrent_webhooks(8), 8),
    ],
    ids=["five times over", "eight times at once"],
)
def test_every_webhook_arrives(purchase: Purchase, disturb: Disturb, tries: int) -> None:
    disturb(purchase.shop.sandbox)
    buy(purchase)

    assert statuses(purchase.shop.sandbox) == [200] * EVENTS * tries
    assert GatewayEvent.objects.count() == EVENTS
    assert came_by_webhook()
    assert_one_of_everything(purchase.shop)


def test_newest_first(purchase: Purchase) -> None:
    purchase.shop.sandbox.reorder_webhooks(0.2)
    buy(purchase)

    assert came_by_webhook()
    assert_one_of_everything(purchase.shop)


def test_two_events_about_the_same_change(purchase: Purchase) -> None:
    purchase.shop.sandbox.twin_webhooks()
    buy(purchase)

    assert GatewayEvent.objects.count() == 2 * EVENTS
    assert GatewayEvent.objects.filter(type=PAID, result=EventResult.PROCESSED).count() == 2
    assert_one_of_everything(purchase.shop)


def test_before_the_call_that_caused_them_is_answered(purchase: Purchase) -> None:
    purchase.shop.sandbox.webhooks_before_answer()
    buy(purchase)

    assert came_by_webhook()
    assert_one_of_everything(purchase.shop)


@pytest.mark.parametrize(
    "forge",
    [{"kind": "bad_signature"}, {"kind": "old_timestamp", "seconds": OLD_SECONDS}],
    ids=["another's signature", "an old signature"],
)
def test_forged_webhooks_are_refused_and_the_real_ones_after_them_accepted(
    purchase: Purchase, forge: dict[str, Any]
) -> None:
    purchase.shop.sandbox.webhook_switch(**forge, tries=2)
    buy(purchase)

    assert sorted(statuses(purchase.shop.sandbox, PAID), key=str) == [200, 400, 400]
    assert came_by_webhook()
    assert_one_of_everything(purchase.shop)


def test_everything_is_sent_again_long_after(purchase: Purchase) -> None:
    buy(purchase)
    sandbox = purchase.shop.sandbox
    for event in sandbox.stripe_state()["event"]:
        sandbox.resend(event["id"])
    sandbox.settle_webhooks()

    assert statuses(sandbox) == [200] * 2 * EVENTS
    assert not GatewayEvent.objects.exclude(state=WorkState.DONE).exists()
    assert_one_of_everything(purchase.shop)
