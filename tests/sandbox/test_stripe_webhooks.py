"""Webhooks as they arrive at a shop: signed, repeated, shuffled, late, forged or lost."""

import pytest

from sandbox.client import SandboxError
from sandbox.stripe.delivery import signature
from tests.sandbox.stripe_shop import SECRET, Receiver, StripeShop

PAID = {"payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"}


@pytest.fixture
def listening(shop: StripeShop, receiver: Receiver) -> Receiver:
    shop.sandbox.stripe_endpoint(receiver.url, SECRET)
    return receiver


def paid_session(shop: StripeShop) -> str:
    session = shop.make_session()
    assert shop.sandbox.pay(session.url).is_accepted
    shop.sandbox.settle_webhooks()
    return str(session.id)


def test_the_signature_is_the_contracts() -> None:
    body = '{"id":"evt_contract_1","object":"event","type":"checkout.session.completed"}'

    header = signature(body, "whsec_contract_test_secret", 1700000000)

    assert header == "t=1700000000,v1=ba4b00f4a1173fead7ffe838ea39fa5a111f4a924c0ae09c03a711d7bf2af6af"


def test_a_paid_session_sends_signed_events(shop: StripeShop, listening: Receiver) -> None:
    session = paid_session(shop)

    assert set(listening.kinds) >= PAID
    event = next(hook.event for hook in listening.hooks if hook.event["type"] == "checkout.session.completed")
    assert event["data"]["object"]["id"] == session
    assert event["api_version"] == "2026-10-28.endive"
    assert shop.v1.events.retrieve(event["id"]).pending_webhooks == 0


def test_an_event_names_the_request_that_caused_it(shop: StripeShop, listening: Receiver) -> None:
    shop.v1.customers.create({"email": "a@example.com"}, {"idempotency_key": "k1"})
    shop.sandbox.settle_webhooks()

    assert listening.hooks[0].event["request"]["idempotency_key"] == "k1"


def test_an_endpoint_gets_the_types_it_asked_for(shop: StripeShop, receiver: Receiver) -> None:
    shop.sandbox.stripe_endpoint(receiver.url, SECRET, ["customer.created"])

    shop.make_session()
    shop.make_customer()
    shop.sandbox.settle_webhooks()

    assert receiver.kinds == ["customer.created"]


def test_a_refused_delivery_is_repeated_with_a_fresh_signature(shop: StripeShop, listening: Receiver) -> None:
    shop.sandbox.stripe_settings(gaps=[1.1])
    listening.answers = [500]
    shop.make_customer()
    shop.sandbox.settle_webhooks()

    first, second = listening.hooks
    assert first.event["id"] == second.event["id"]
    assert first.signature != second.signature
    (delivery,) = shop.sandbox.deliveries()
    assert [attempt["status"] for attempt in delivery["tries"]] == [500, 200]


@pytest.mark.parametrize("status", [302, 400, 404, 503])
def test_anything_but_2xx_counts_as_failure(shop: StripeShop, listening: Receiver, status: int) -> None:
    listening.answers = [status]
    shop.make_customer()
    shop.sandbox.settle_webhooks()

    assert len(listening.hooks) == 2


def test_delivery_is_given_up_in_the_end_and_can_be_found(shop: StripeShop, listening: Receiver) -> None:
    listening.answers = [500] * 4
    shop.make_customer()
    shop.sandbox.settle_webhooks()

    (lost,) = shop.v1.events.list({"delivery_success": False}).data
    assert lost.type == "customer.created"
    shop.sandbox.resend(lost.id)
    shop.sandbox.settle_webhooks()
    assert len(listening.hooks) == 5


def test_a_silent_receiver_is_tried_again(shop: StripeShop, receiver: Receiver) -> None:
    shop.sandbox.stripe_endpoint("http://127.0.0.1:9/nobody", SECRET)
    shop.make_customer()
    shop.sandbox.settle_webhooks()

    (delivery,) = shop.sandbox.deliveries()
    assert (delivery["state"], [attempt["status"] for attempt in delivery["tries"]]) == ("failed", [None] * 4)


def test_duplicates_carry_the_same_event(shop: StripeShop, listening: Receiver) -> None:
    shop.sandbox.duplicate_webhooks(3, types=["customer.*"])
    shop.make_customer()
    shop.sandbox.settle_webhooks()

    assert len({hook.event["id"] for hook in listening.hooks}) == 1
    assert len(listening.hooks) == 3


def test_concurrent_deliveries_meet(shop: StripeShop, listening: Receiver) -> None:
    shop.sandbox.concurrent_webhooks(5)
    shop.make_customer()
    shop.sandbox.settle_webhooks()

    assert len(listening.hooks) == 5
    assert listening.most_at_once > 1


def test_twins_are_two_events_for_one_fact(shop: StripeShop, listening: Receiver) -> None:
    shop.sandbox.twin_webhooks(types=["checkout.session.completed"])
    session = paid_session(shop)

    twins = [hook.event for hook in listening.hooks if hook.event["type"] == "checkout.session.completed"]
    assert len({event["id"] for event in twins}) == 2
    assert {event["data"]["object"]["id"] for event in twins} == {session}


def test_reordered_events_arrive_newest_first(shop: StripeShop, listening: Receiver) -> None:
    session = shop.make_session()
    shop.sandbox.settle_webhooks()
    listening.hooks.clear()
    shop.sandbox.reorder_webhooks(0.05)

    shop.sandbox.pay(session.url)
    shop.sandbox.settle_webhooks()

    assert listening.kinds[0] == "checkout.session.completed"
    assert listening.kinds[-1] == "payment_intent.created"


def test_dropped_events_are_only_in_the_list(shop: StripeShop, listening: Receiver) -> None:
    shop.sandbox.drop_webhooks(types=["customer.created"], times=1)
    shop.make_customer()
    shop.make_customer()
    shop.sandbox.settle_webhooks()

    assert listening.kinds == ["customer.created"]
    assert len(shop.v1.events.list({"types": ["customer.created"]}).data) == 2


def test_delayed_events_come_late(shop: StripeShop, listening: Receiver) -> None:
    shop.sandbox.delay_webhooks(0.2)
    shop.make_customer()
    assert listening.hooks == []

    shop.sandbox.settle_webhooks()

    assert listening.kinds == ["customer.created"]


@pytest.mark.parametrize("kind", ["bad_signature", "old_timestamp"])
def test_a_spoiled_signature_is_rejected_by_the_library_and_then_made_good(
    shop: StripeShop, listening: Receiver, kind: str
) -> None:
    shop.sandbox.webhook_switch(kind, tries=1)
    listening.answers = [400]
    shop.make_customer()
    shop.sandbox.settle_webhooks()

    assert [hook.is_genuine for hook in listening.hooks] == [False, True]


def test_an_event_can_arrive_before_the_answer(shop: StripeShop, listening: Receiver) -> None:
    shop.sandbox.webhooks_before_answer()

    shop.make_customer()

    assert listening.kinds == ["customer.created"]


def test_switches_end_when_cleared(shop: StripeShop, listening: Receiver) -> None:
    shop.sandbox.drop_webhooks()
    shop.sandbox.clear_webhook_switches()
    shop.make_customer()
    shop.sandbox.settle_webhooks()

    assert len(listening.hooks) == 1


def test_nonsense_is_refused_by_the_controls(shop: StripeShop) -> None:
    for attempt in (
        lambda: shop.sandbox.webhook_switch("sing"),
        lambda: shop.sandbox.webhook_switch("drop", colour="red"),
        lambda: shop.sandbox.arm("stripe", "POST /v1", "explode"),
        lambda: shop.sandbox.arm("nobody", "POST /v1", "drop"),
        lambda: shop.sandbox.stripe_settings(nonsense=1),
        lambda: shop.sandbox.pay(f"{shop.sandbox.stripe_url}/c/pay/cs_test_none"),
    ):
        with pytest.raises(SandboxError):
            attempt()
