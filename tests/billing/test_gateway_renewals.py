"""Subscriptions that Stripe renews: each period becomes one invoice, one payment and its journal entries."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from billing import events, payment_sync, renewals, subscriptions
from billing.models import (
    AccountKind,
    BillingMode,
    EventResult,
    GatewayCustomer,
    GatewayEvent,
    Invoice,
    InvoiceState,
    Payment,
    PaymentState,
    Period,
    SubscriptionStatus,
)
from core import outside
from core.models import WorkState
from sandbox.client import Sandbox
from tests.billing.sales import GATEWAY, MONEY, Sale, balance, make_sale, run_due
from tests.builders import make_price
from tests.shop import deliver_webhooks
from tests.stripe_dashboard import know_price, read, write

pytestmark = pytest.mark.django_db(transaction=True)
MONTH = 32 * 86_400


@pytest.fixture
def sale(stripe_sandbox: Sandbox) -> Sale:
    """A sale of a plan whose price Stripe knows, with a setup fee on top."""
    return make_sale(
        at=timezone.now(),
        price=know_price(make_price()),
        billing_mode=BillingMode.GATEWAY,
        setup_minor=300,
    )


@pytest.fixture
def running(sale: Sale, stripe_sandbox: Sandbox) -> Sale:
    """The sale, paid and synced."""
    stripe_sandbox.pay(sale.create_session())
    deliver_and_work(stripe_sandbox)
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE
    return sale


def deliver_and_work(sandbox: Sandbox) -> None:
    """Deliver every event that Stripe has, and run the work that follows."""
    assert set(deliver_webhooks(sandbox)) <= {200}
    while run_due():
        pass


def pass_a_month(sandbox: Sandbox) -> None:
    """Let the next period begin at Stripe."""
    sandbox.advance(MONTH)
    read("clock", lambda stripe: stripe.v1.events.list({"limit": 1}))  # time passes with the next request


def test_the_first_period_is_paid_once_although_two_events_report_it(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session())
    deliver_and_work(stripe_sandbox)

    subscription = sale.subscription.reload()
    payment = Payment.objects.get()
    assert (payment.state, payment.received_minor) == (PaymentState.SUCCEEDED, 1100)
    assert Invoice.objects.get().state == InvoiceState.PAID
    linked = subscription.gateway_subscriptions.get()
    assert linked.reference == stripe_sandbox.stripe_state()["subscription"][0]["id"]
    period = stripe_sandbox.stripe_state()["subscription"][0]["items"]["data"][0]
    assert subscription.current_period_end is not None
    assert int(subscription.current_period_end.timestamp()) == period["current_period_end"]
    kinds = GatewayEvent.objects.filter(type__in=["invoice.paid", "checkout.session.completed"])
    assert set(kinds.values_list("result", flat=True)) == {EventResult.PROCESSED}


def test_polling_alone_activates_the_subscription_too(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session())
    payment_sync.sync_payment(payment_id=sale.payment.pk, at=timezone.now())
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE


def test_each_later_period_is_invoiced_by_us_once(running: Sale, stripe_sandbox: Sandbox) -> None:
    before = running.subscription.reload().current_period_end
    pass_a_month(stripe_sandbox)
    deliver_and_work(stripe_sandbox)
    stripe_sandbox.twin_webhooks()
    pass_a_month(stripe_sandbox)
    deliver_and_work(stripe_sandbox)

    invoices = Invoice.objects.filter(state=InvoiceState.PAID).order_by("number")
    assert [invoice.total_minor for invoice in invoices] == [1100, 800, 800]
    assert [invoice.number[-5:] for invoice in invoices if invoice.number] == ["00001", "00002", "00003"]
    first, second, third = (invoice.items.get(kind="plan") for invoice in invoices)
    assert first.period_end == second.period_start == before
    assert second.period_end == third.period_start
    assert running.subscription.reload().current_period_end == third.period_end
    assert Payment.objects.filter(state=PaymentState.SUCCEEDED).count() == 3
    assert balance(AccountKind.REVENUE) == 2700


def test_the_event_of_a_later_period_before_that_of_the_first_settles_the_first(
    sale: Sale, stripe_sandbox: Sandbox
) -> None:
    stripe_sandbox.pay(sale.create_session())
    pass_a_month(stripe_sandbox)
    stored = [event for event in stripe_sandbox.stripe_state()["event"] if event["type"] == "invoice.paid"]
    event = stored[-1]
    GatewayEvent.objects.create(
        gateway="stripe",
        event_id=event["id"],
        type=event["type"],
        payload=event,
        received_at=timezone.now(),
        run_at=timezone.now(),
    )
    while run_due():
        pass

    assert GatewayEvent.objects.get().state == WorkState.DONE
    assert sorted(Payment.objects.values_list("received_minor", flat=True)) == [800, 1100]


def test_a_period_of_another_price_than_was_sold_goes_under_review(running: Sale, stripe_sandbox: Sandbox) -> None:
    type(running.subscription).objects.update(amount_minor=900)
    pass_a_month(stripe_sandbox)
    deliver_and_work(stripe_sandbox)
    reviewed = Payment.objects.get(state=PaymentState.UNDER_REVIEW)
    assert (reviewed.invoice, reviewed.received_minor) == (None, 800)
    assert "$9.00" in reviewed.review_reason


def test_a_second_transaction_for_a_billed_period_goes_under_review(running: Sale) -> None:
    row = running.subscription.reload()
    assert row.current_period_start is not None
    assert row.current_period_end is not None
    gateway_payment = running.gateway_payment(
        transaction_id="pi_twice", amount=MONEY, period=Period(row.current_period_start, row.current_period_end)
    )

    payment = renewals.record_renewal(
        gateway=GATEWAY, subscription_id=row.pk, gateway_payment=gateway_payment, at=timezone.now()
    )

    assert payment.state == PaymentState.UNDER_REVIEW
    assert "billed already" in payment.review_reason


def test_money_for_another_organizations_subscription_goes_under_review(running: Sale) -> None:
    gateway_payment = running.gateway_payment(transaction_id="pi_other", amount=MONEY, organization_id=uuid4())
    payment = renewals.record_renewal(
        gateway=GATEWAY, subscription_id=running.subscription.pk, gateway_payment=gateway_payment, at=timezone.now()
    )
    assert "another organization" in payment.review_reason


def test_a_declined_renewal_is_past_due_and_recovers_when_it_is_paid(sale: Sale, stripe_sandbox: Sandbox) -> None:
    recovered: list[object] = []
    signal = events.subscriptions_recovered
    signal.connect(lambda subscription_ids, **_: recovered.extend(subscription_ids), weak=False, dispatch_uid="test")
    try:
        stripe_sandbox.pay(sale.create_session(), card="pm_card_declineLater")
        deliver_and_work(stripe_sandbox)
        pass_a_month(stripe_sandbox)
        deliver_and_work(stripe_sandbox)
        assert sale.subscription.reload().status == SubscriptionStatus.PAST_DUE
        pay_by_another_card(stripe_sandbox)
        deliver_and_work(stripe_sandbox)
    finally:
        signal.disconnect(dispatch_uid="test")
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE
    assert recovered == [sale.subscription.pk]


def pay_by_another_card(sandbox: Sandbox) -> None:
    """The customer gives Stripe a card that works, and Stripe charges the open invoice."""
    subscription = sandbox.stripe_state()["subscription"][0]
    (invoice,) = [each for each in sandbox.stripe_state()["invoice"] if each["status"] == "open"]
    owner: Any = {"customer": subscription["customer"]}
    card = write("card", lambda stripe: stripe.v1.payment_methods.attach("pm_card_visa", owner))
    payment: Any = {"payment_method": card.id}
    write("invoice", lambda stripe: stripe.v1.invoices.pay(invoice["id"], payment))


def test_canceling_at_stripe_is_stored_and_its_end_ends_our_subscription(
    running: Sale, stripe_sandbox: Sandbox
) -> None:
    reference = running.subscription.gateway_subscriptions.get().reference
    write("cancel", lambda stripe: stripe.v1.subscriptions.update(reference, {"cancel_at_period_end": True}))
    deliver_and_work(stripe_sandbox)
    assert running.subscription.reload().cancels_at_period_end

    pass_a_month(stripe_sandbox)
    deliver_and_work(stripe_sandbox)

    row = running.subscription.reload()
    assert (row.status, row.cancels_at_period_end) == (SubscriptionStatus.ENDED, True)
    assert Invoice.objects.filter(state=InvoiceState.PAID).count() == 1


def test_a_price_stripe_does_not_know_ends_the_payment_and_not_the_customer(stripe_sandbox: Sandbox) -> None:
    sale = make_sale(
        at=timezone.now(),
        price=know_price(make_price(), "price_gone"),
        billing_mode=BillingMode.GATEWAY,
        setup_minor=300,
    )
    with pytest.raises(outside.Rejected):
        sale.create_session()

    assert sale.payment.reload().state == PaymentState.FAILED
    assert GatewayCustomer.objects.get().reference


@pytest.mark.parametrize(("seconds_later", "is_stored"), [(0, True), (86400, False)])
def test_a_day_to_end_on_counts_as_the_periods_end_only_when_the_period_reaches_it(
    running: Sale, stripe_sandbox: Sandbox, seconds_later: int, is_stored: bool
) -> None:
    reference = running.subscription.gateway_subscriptions.get().reference
    ends_at = stripe_sandbox.stripe_state()["subscription"][0]["items"]["data"][0]["current_period_end"]
    day: Any = {"cancel_at": ends_at + seconds_later}
    write("cancel", lambda stripe: stripe.v1.subscriptions.update(reference, day))
    deliver_and_work(stripe_sandbox)

    assert running.subscription.reload().cancels_at_period_end is is_stored


def test_a_subscription_that_is_not_ours_is_unrelated(stripe_sandbox: Sandbox, sale: Sale) -> None:
    stripe_sandbox.pay(sale.create_session())
    Payment.objects.all().delete()
    sale.invoice.items.all().delete()
    sale.subscription.items.all().delete()
    sale.subscription.delete()
    deliver_and_work(stripe_sandbox)
    found = GatewayEvent.objects.filter(type__in=["invoice.paid", "checkout.session.completed"])
    assert set(found.values_list("result", flat=True)) == {EventResult.UNRELATED}


def test_a_refund_of_a_renewal_finds_its_payment(running: Sale, stripe_sandbox: Sandbox) -> None:
    pass_a_month(stripe_sandbox)
    deliver_and_work(stripe_sandbox)
    renewal = Payment.objects.get(received_minor=800)
    params: Any = {"payment_intent": renewal.transaction_id}
    write("by hand", lambda stripe: stripe.v1.refunds.create(params))
    deliver_and_work(stripe_sandbox)
    assert renewal.reload().state == PaymentState.REFUNDED


def test_what_ends_here_is_no_longer_renewed_by_the_gateway(running: Sale, stripe_sandbox: Sandbox) -> None:
    subscriptions.end_subscription(subscription=running.subscription, reason="order canceled", at=timezone.now())
    stripe_sandbox.arm("stripe", "DELETE /v1/subscriptions", "status", status=503, times=0)
    run_due()
    stripe_sandbox.clear_faults()

    run_due(timezone.now() + timedelta(hours=1))

    assert running.subscription.gateway_subscriptions.get().ended_at is not None
    pass_a_month(stripe_sandbox)
    assert len(stripe_sandbox.stripe_state()["invoice"]) == 1


def test_money_for_a_subscription_that_has_ended_goes_under_review(running: Sale, stripe_sandbox: Sandbox) -> None:
    subscriptions.end_subscription(subscription=running.subscription, reason="order canceled", at=timezone.now())
    pass_a_month(stripe_sandbox)
    deliver_and_work(stripe_sandbox)
    assert "is ended" in Payment.objects.get(state=PaymentState.UNDER_REVIEW).review_reason


def test_what_ended_at_stripe_already_counts_as_stopped(running: Sale, stripe_sandbox: Sandbox) -> None:
    reference = running.subscription.gateway_subscriptions.get().reference
    write("cancel", lambda stripe: stripe.v1.subscriptions.cancel(reference))
    subscriptions.end_subscription(subscription=running.subscription, reason="order canceled", at=timezone.now())
    run_due()
    assert running.subscription.gateway_subscriptions.get().ended_at is not None
