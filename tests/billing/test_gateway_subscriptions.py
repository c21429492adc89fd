"""What charges at the gateway agrees with what is sold here: never twice, never unseen, never past its end."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from billing import payments, refunds, reviews, subscriptions
from billing.models import (
    BillingMode,
    EventResult,
    GatewayEvent,
    GatewaySubscription,
    Payment,
    PaymentState,
    SubscriptionStatus,
)
from core.models import WorkState
from sandbox.client import Sandbox
from tests.billing.sales import GATEWAY, Sale, make_sale, run_due
from tests.billing.test_gateway_renewals import deliver_and_work, pass_a_month
from tests.builders import make_price
from tests.shop import signed
from tests.stripe_dashboard import know_price, write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sale(stripe_sandbox: Sandbox) -> Sale:
    """An unpaid sale that Stripe will renew."""
    return make_sale(at=timezone.now(), price=know_price(make_price()), billing_mode=BillingMode.GATEWAY)


def open_second_session(sale: Sale) -> str:
    """The page of a second payment, while that of the first can still be paid."""
    payments.fail(payment_id=sale.payment.pk, reason="the answer was lost", at=timezone.now())
    second = payments.open_payment(
        invoice=sale.invoice,
        gateway=GATEWAY,
        expires_at=sale.expires_at,
        at=timezone.now(),
    )
    return Sale(sale.organization, sale.subscription, sale.invoice, second).create_session()


def post_event(sandbox: Sandbox, client: Any, kind: str) -> None:
    """Deliver the newest event of a type, alone."""
    events = [event for event in sandbox.stripe_state()["event"] if event["type"] == kind]
    assert client.post(f"/webhooks/{GATEWAY}/", **signed(events[-1])).status_code == 200


def charging(sandbox: Sandbox) -> list[str]:
    """The ids of the subscriptions that charge at Stripe."""
    return [each["id"] for each in sandbox.stripe_state()["subscription"] if each["status"] == "active"]


def test_a_second_gateway_subscription_for_one_sale_is_ended_and_its_money_is_under_review(
    sale: Sale, stripe_sandbox: Sandbox
) -> None:
    first, second = sale.create_session(), open_second_session(sale)
    stripe_sandbox.pay(first)
    stripe_sandbox.pay(second)
    assert len(charging(stripe_sandbox)) == 2

    deliver_and_work(stripe_sandbox)

    assert sorted(Payment.objects.values_list("state", flat=True)) == [
        PaymentState.SUCCEEDED,
        PaymentState.UNDER_REVIEW,
    ]
    kept = GatewaySubscription.objects.get(is_duplicate=False)
    ended = GatewaySubscription.objects.get(is_duplicate=True)
    assert (kept.ended_at, ended.ended_at is None) == (None, False)
    (told,) = [each for each in mail.outbox if each.subject == "You paid twice: we ended the second subscription"]
    assert told.to == [sale.organization.owner.email]
    assert charging(stripe_sandbox) == [kept.reference]
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE

    pass_a_month(stripe_sandbox)
    deliver_and_work(stripe_sandbox)
    assert Payment.objects.count() == 3
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE


def hold_first(sale: Sale, sandbox: Sandbox) -> Payment:
    """The first payment's money is under review; a second payment can be made."""
    first = sale.create_session()
    second = open_second_session(sale)
    Payment.objects.filter(pk=sale.payment.pk).update(amount_minor=900)  # another amount was asked for
    sandbox.pay(first)
    deliver_and_work(sandbox)
    held = sale.payment.reload()
    assert (held.state, len(charging(sandbox))) == (PaymentState.UNDER_REVIEW, 1)
    sandbox.pay(second)
    return held


def test_the_subscription_whose_payment_was_accepted_goes_on_and_the_held_ones_is_ended(
    sale: Sale, stripe_sandbox: Sandbox
) -> None:
    held = hold_first(sale, stripe_sandbox)

    deliver_and_work(stripe_sandbox)

    kept = GatewaySubscription.objects.get(is_duplicate=False)
    assert charging(stripe_sandbox) == [kept.reference]
    assert kept.payment != held
    assert held.reload().state == PaymentState.UNDER_REVIEW
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE
    pass_a_month(stripe_sandbox)
    deliver_and_work(stripe_sandbox)
    assert sale.subscription.invoice_items.count() == 2


def test_nothing_is_ended_while_all_payments_are_under_review_and_then_the_accepted_one_stays(
    sale: Sale, stripe_sandbox: Sandbox
) -> None:
    held = hold_first(sale, stripe_sandbox)
    other = Payment.objects.exclude(pk=held.pk).get()
    Payment.objects.filter(pk=other.pk).update(amount_minor=700)
    deliver_and_work(stripe_sandbox)
    assert len(charging(stripe_sandbox)) == 2

    reviews.accept_payment(payment_id=other.pk, actor=None, at=timezone.now())
    run_due()

    kept = GatewaySubscription.objects.get(is_duplicate=False)
    assert (kept.payment, charging(stripe_sandbox)) == (other, [kept.reference])


def test_the_subscription_of_a_refunded_payment_under_review_is_ended(sale: Sale, stripe_sandbox: Sandbox) -> None:
    url = sale.create_session()
    Payment.objects.filter(pk=sale.payment.pk).update(amount_minor=900)
    stripe_sandbox.pay(url)
    deliver_and_work(stripe_sandbox)
    held = sale.payment.reload()

    refunds.refund_payment(payment=held, amount=held.refundable, reason="wrong", actor=None, at=timezone.now())
    run_due()
    deliver_and_work(stripe_sandbox)

    assert held.reload().state == PaymentState.REFUNDED
    assert charging(stripe_sandbox) == []


def test_while_stripe_is_down_a_second_subscription_waits_to_be_ended(sale: Sale, stripe_sandbox: Sandbox) -> None:
    for url in (sale.create_session(), open_second_session(sale)):
        stripe_sandbox.pay(url)
    stripe_sandbox.arm("stripe", "DELETE /v1/subscriptions", "status", status=503, times=0)
    deliver_and_work(stripe_sandbox)
    assert len(charging(stripe_sandbox)) == 2
    stripe_sandbox.clear_faults()

    run_due(timezone.now() + timedelta(hours=1))

    assert len(charging(stripe_sandbox)) == 1


def test_the_end_of_a_subscription_that_arrives_before_its_payment_still_ends_ours(
    sale: Sale, stripe_sandbox: Sandbox, client: Any
) -> None:
    stripe_sandbox.pay(sale.create_session())
    reference = stripe_sandbox.stripe_state()["subscription"][0]["id"]
    write("end", lambda stripe: stripe.v1.subscriptions.cancel(reference))

    post_event(stripe_sandbox, client, "customer.subscription.deleted")
    run_due()
    deliver_and_work(stripe_sandbox)

    assert Payment.objects.get().state == PaymentState.SUCCEEDED
    assert sale.subscription.reload().status == SubscriptionStatus.ENDED


def test_what_the_gateway_charges_after_we_asked_it_to_end_is_under_review(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session())
    deliver_and_work(stripe_sandbox)
    end = sale.subscription.reload().current_period_end
    stripe_sandbox.arm("stripe", "DELETE /v1/subscriptions", "status", status=503, times=0)
    refund: Any = {"payment_intent": str(Payment.objects.get().transaction_id)}
    write("refund", lambda stripe: stripe.v1.refunds.create(refund))
    deliver_and_work(stripe_sandbox)
    assert len(charging(stripe_sandbox)) == 1

    pass_a_month(stripe_sandbox)
    deliver_and_work(stripe_sandbox)

    late = Payment.objects.get(state=PaymentState.UNDER_REVIEW)
    assert "asked to end" in late.review_reason
    assert sale.subscription.reload().current_period_end == end
    stripe_sandbox.clear_faults()
    run_due(timezone.now() + timedelta(hours=1))
    assert charging(stripe_sandbox) == []
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE


def test_the_gateways_active_lifts_past_due(sale: Sale, stripe_sandbox: Sandbox, client: Any) -> None:
    stripe_sandbox.pay(sale.create_session())
    deliver_and_work(stripe_sandbox)
    subscriptions.mark_past_due(subscription=sale.subscription)

    reference = GatewaySubscription.objects.get().reference
    write("touch", lambda stripe: stripe.v1.subscriptions.update(reference, {"metadata": {"note": "paid by hand"}}))
    deliver_and_work(stripe_sandbox)

    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE


def test_an_event_about_an_object_the_gateway_does_not_know_ends_as_unknown(
    sale: Sale, stripe_sandbox: Sandbox
) -> None:
    for number, (kind, thing) in enumerate(
        [
            ("checkout.session.completed", "cs_test_gone"),
            ("invoice.paid", "in_gone"),
            ("customer.subscription.deleted", "sub_gone"),
            ("refund.updated", "re_gone"),
            ("charge.dispute.closed", "dp_gone"),
        ]
    ):
        GatewayEvent.objects.create(
            gateway=GATEWAY,
            event_id=f"evt_{number}",
            type=kind,
            payload={"data": {"object": {"id": thing}}},
            received_at=timezone.now(),
            run_at=timezone.now(),
        )
    run_due()
    found = set(GatewayEvent.objects.values_list("state", "result"))
    assert found == {(WorkState.DONE, EventResult.UNKNOWN)}
