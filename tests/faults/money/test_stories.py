"""Money that goes wrong in several ways at once. Each story ends with every audit, here and at the gateway."""

import random
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client

from billing import payments, refunds
from billing.ledger_audit import broken_rules
from billing.models import (
    GatewaySubscription,
    Payment,
    PaymentState,
    SubscriptionStatus,
)
from core import site_settings, work
from orders import paying
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from tests import shop as shops
from tests.billing.sales import accept, wallet_balance
from tests.faults import ends
from tests.faults.money.endings import at_once, audit_all, audit_tripay, finish, post_all
from tests.gateways.adapters import Tripay
from tests.shop import Clock, Shop, create_session, place_order, run_until_idle
from tests.stripe_dashboard import know_price, make_stripe_price, write

pytestmark = pytest.mark.django_db(transaction=True)
TRIPAY_WAYS = ("both at once", "second at the end", "late, after expiry", "stored fails, other paid")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def two_pages(shop: Shop, clock: Clock) -> tuple[Order, str, str]:
    site_settings.set_value("billing.gateway_renews", True)
    know_price(shop.price, make_stripe_price(shop.price.amount_minor))
    order = place_order(shop, at=clock.now, is_auto_renewed=True)
    first = create_session(order, at=clock.now)
    payments.fail(payment_id=Payment.objects.get().pk, reason="the answer was lost", at=clock.now)
    paying.reopen_payment(order=order, at=clock.now)
    return order, first, create_session(order, at=clock.now)


def charging(sandbox: Sandbox) -> int:
    return len(ends.objects_of(sandbox, "subscription", "active", "past_due"))


@pytest.mark.parametrize("found", ["sweep only", "shuffled"])
def test_two_gateway_subscriptions_for_one_sale(shop: Shop, clock: Clock, found: str) -> None:
    order, *pages = two_pages(shop, clock)
    shop.sandbox.pay(pages[1])
    run_until_idle(clock)  # polling finds only the payment that is open
    shop.sandbox.pay(pages[0])
    assert charging(shop.sandbox) == 2
    clock.pass_by(32 * DAY)  # both charge again, and no webhook comes
    shop.sandbox.stripe_state()
    clock.pass_by(timedelta(minutes=1))
    if found == "shuffled":
        events = shops.signed_events(shop.sandbox)
        random.Random(0).shuffle(events)
        for delivery in events:
            Client().post(shops.WEBHOOK, **delivery)
            work.run_due(at=clock.now)
    finish(clock, events=found != "sweep only")
    if found == "sweep only":
        finish(clock)
    assert charging(shop.sandbox) == 1
    audit_all(shop.sandbox)
    assert order.reload().status == OrderStatus.ACTIVE
    kept = GatewaySubscription.objects.get(is_duplicate=False)
    assert kept.ended_at is None
    taken = len(ends.objects_of(shop.sandbox, "payment_intent", "succeeded"))
    assert Payment.objects.filter(state__in=Payment.RECEIVED).count() == taken
    for held in Payment.objects.filter(state=PaymentState.UNDER_REVIEW):
        refunds.refund_payment(payment=held, amount=held.refundable, reason="twice", actor=shop.customer, at=clock.now)
    finish(clock)
    audit_all(shop.sandbox)
    assert kept.reload().ended_at is None, "refunding what was paid twice ended the kept one"
    clock.pass_by(32 * DAY)
    finish(clock)
    audit_all(shop.sandbox)
    assert order.items.get().subscription.status == SubscriptionStatus.ACTIVE
    assert not Payment.objects.filter(state=PaymentState.UNDER_REVIEW).exists()


def test_the_second_is_found_after_the_first_was_refunded(shop: Shop, clock: Clock) -> None:
    _order, first, second = two_pages(shop, clock)
    shop.sandbox.pay(second)
    run_until_idle(clock)
    paid = Payment.objects.get(state=PaymentState.SUCCEEDED)
    shop.sandbox.pay(first)
    refunds.refund_payment(payment=paid, amount=paid.refundable, reason="asked", actor=shop.customer, at=clock.now)
    run_until_idle(clock)
    clock.pass_by(32 * DAY)
    finish(clock)
    assert charging(shop.sandbox) == 0
    audit_all(shop.sandbox)
    for held in Payment.objects.filter(state=PaymentState.UNDER_REVIEW):
        accept(held)
    finish(clock)
    assert charging(shop.sandbox) == 0
    audit_all(shop.sandbox)


def test_the_renewal_of_a_second_subscription_that_is_not_known_yet(shop: Shop, clock: Clock) -> None:
    order, first, second = two_pages(shop, clock)
    shop.sandbox.pay(second)
    run_until_idle(clock)
    (kept,) = GatewaySubscription.objects.values_list("reference", flat=True)
    clock.pass_by(timedelta(minutes=1))
    shop.sandbox.pay(first)
    clock.pass_by(32 * DAY)
    shop.sandbox.stripe_state()
    clock.pass_by(timedelta(minutes=1))
    for event in shop.sandbox.stripe_state()["event"]:
        of_the_other = event["type"] == "invoice.paid" and kept not in str(event)
        if of_the_other and event["data"]["object"]["billing_reason"] == "subscription_cycle":
            Client().post(shops.WEBHOOK, **shops.signed(event))
    work.run_due(at=clock.now)
    finish(clock)
    for _month in range(3):
        clock.pass_by(31 * DAY)
        finish(clock)
    audit_all(shop.sandbox)
    assert order.reload().status == OrderStatus.ACTIVE
    held = Payment.objects.filter(state=PaymentState.UNDER_REVIEW)
    assert held.count() == 2, "the two charges of the second, and none of the kept one"


def tripay_order(shop: Shop, tripay: Tripay, clock: Clock, minutes: int = 45) -> tuple[Order, str, str]:
    """An order with two sessions of one payment: the first request arrived only after it was repeated."""
    site_settings.set_value("orders.reservation_minutes", minutes)
    order = place_order(shop, at=clock.now)
    payment = Payment.objects.get()
    tripay.choose(payment)
    create_session(order, at=clock.now)
    (first,) = tripay.sessions()
    Payment.objects.filter(pk=payment.pk).update(session_id=None, session_url="")
    delayed = tripay.sandbox.transactions.pop(first)
    clock.pass_by(timedelta(minutes=2))
    create_session(order, at=clock.now)
    (second,) = tripay.sessions()
    late = delayed | {"reference": "DEV-T123450000000000000099"}
    tripay.sandbox.transactions[late["reference"]] = late
    return order, late["reference"], second


def pass_tripay(clock: Clock, tripay: Tripay, step: timedelta) -> None:
    tripay.advance(step.total_seconds())
    shops.run_once(clock.pass_by(step))


@pytest.mark.parametrize(
    ("minutes", "way"),
    [
        *((45, way) for way in TRIPAY_WAYS[:3]),
        (600, TRIPAY_WAYS[3]),
    ],
)
def test_every_callback_is_lost_and_two_sessions_are_paid(rupiah: Shop, tripay: Tripay, way: str, minutes: int) -> None:
    clock = Clock(rupiah.sandbox)
    order, first, second = tripay_order(rupiah, tripay, clock, minutes)
    paid = [first, second]
    if way == "both at once":
        assert tripay.pay(first)
        assert tripay.pay(second)
    elif way == "second at the end":
        assert tripay.pay(second)
        run_until_idle(clock)
        pass_tripay(clock, tripay, timedelta(minutes=minutes - 10))
        assert tripay.pay(first)
    elif way == "late, after expiry":
        pass_tripay(clock, tripay, timedelta(minutes=minutes + 1))
        run_until_idle(clock)
        tripay.sandbox.change(first, "PAID")
        tripay.sandbox.change(second, "PAID")
    else:
        paid = [first]
        tripay.sandbox.change(second, "FAILED")
        run_until_idle(clock, steps=5, step=timedelta(minutes=1))
        for _ in range(int(minutes / 10) - 2):
            pass_tripay(clock, tripay, timedelta(minutes=10))
        assert tripay.pay(first)
    for _ in range(14):
        pass_tripay(clock, tripay, timedelta(minutes=60))
    run_until_idle(clock)
    assert set(Payment.objects.exclude(transaction_id=None).values_list("transaction_id", flat=True)) == set(paid)
    audit_tripay(tripay)
    assert order.reload().status == OrderStatus.ACTIVE
    states = Payment.objects.filter(transaction_id__in=paid).values_list("state", flat=True)
    assert list(states) == [PaymentState.SUCCEEDED] * len(paid)
    assert wallet_balance(rupiah.organization, tripay.currency) == tripay.minor * (len(paid) - 1)


@pytest.mark.parametrize("seed", [0, 2])
def test_webhooks_twice_from_eight_threads(shop: Shop, clock: Clock, seed: int) -> None:
    chance = random.Random(seed)
    order = place_order(shop, at=clock.now)
    shop.sandbox.pay(create_session(order, at=clock.now))
    (intent,) = [row["id"] for row in ends.objects_of(shop.sandbox, "payment_intent", "succeeded")]
    if seed:  # refunded in part before any webhook comes
        params: Any = {"payment_intent": intent, "amount": 300}
        write("by hand", lambda stripe: stripe.v1.refunds.create(params))
    dispute = shop.sandbox.dispute(intent)["id"]
    shop.sandbox.close_dispute(dispute, "lost")
    if seed == 2:
        shop.sandbox.appeal_dispute(dispute)
        shop.sandbox.close_dispute(dispute, "won")
    events = shops.signed_events(shop.sandbox) * 2
    chance.shuffle(events)
    shares = [events[number::8] for number in range(8)]

    def deliver(share: list[Any]) -> None:
        client = Client()
        for event in share:
            assert client.post(shops.WEBHOOK, **event).status_code == 200
            work.run_due(at=clock.now)

    assert at_once(*[partial(deliver, share) for share in shares]) == []
    assert broken_rules() == {}
    finish(clock)
    audit_all(shop.sandbox)
    assert Payment.objects.filter(state__in=Payment.RECEIVED).count() == 1


def test_part_is_lost_to_a_dispute_before_the_server_runs(shop: Shop, clock: Clock) -> None:
    order = place_order(shop, at=clock.now)
    shop.sandbox.pay(create_session(order, at=clock.now))
    shop.sandbox.arm("pterodactyl", "POST /api/application/servers", "status", status=503, times=0)
    post_all(shop.sandbox)
    shops.run_once(clock.pass_by())
    assert order.reload().status == OrderStatus.PROVISIONING
    (intent,) = [row["id"] for row in ends.objects_of(shop.sandbox, "payment_intent", "succeeded")]
    shop.sandbox.close_dispute(shop.sandbox.dispute(intent, amount=200)["id"], "lost")
    post_all(shop.sandbox)
    finish(clock)
    for _ in range(20):
        shops.run_once(clock.pass_by(DAY))
    finish(clock)
    payment = Payment.objects.get()
    given_back = payment.refunded_minor + payment.lost_minor + wallet_balance(shop.organization)
    assert (order.reload().status, given_back) == (OrderStatus.CANCELED, 800)
    audit_all(shop.sandbox)
