"""A bank debit that failed at the checkout session is made again at the gateway: the money arrives here too."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from billing import payment_sync
from billing.models import EventResult, GatewayEvent, InvoiceState, Payment, PaymentState, UnexplainedItem
from billing.reconciliation import balance, catch_up
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from tests.billing.sales import Sale, make_sale, run_due
from tests.shop import Clock, create_session, deliver_webhooks, make_shop, place_order, run_until_idle
from tests.stripe_dashboard import make_again

pytestmark = pytest.mark.django_db(transaction=True)
FAILING = "pm_usBankAccount_insufficientFunds"


def bring_events(sandbox: Sandbox) -> None:
    """Webhooks and workers."""
    deliver_webhooks(sandbox)
    while run_due():
        pass


def fail_debit(sandbox: Sandbox, url: str) -> str:
    """The customer pays by debit and the bank refuses, which we hear of; the id of its PaymentIntent."""
    sandbox.pay(url, card=FAILING)
    intent = str(sandbox.stripe_state()["payment_intent"][-1]["id"])
    sandbox.clear_debit(intent, "fail")
    bring_events(sandbox)
    return intent


@pytest.fixture
def sale(stripe_sandbox: Sandbox) -> Sale:
    return make_sale(at=timezone.now())


def test_a_debit_that_failed_and_succeeds_later_pays_its_invoice(sale: Sale, stripe_sandbox: Sandbox) -> None:
    intent = fail_debit(stripe_sandbox, sale.create_session())
    assert sale.payment.reload().state == PaymentState.FAILED

    make_again(intent)
    bring_events(stripe_sandbox)

    assert stripe_sandbox.stripe_state()["checkout.session"][0]["payment_status"] == "unpaid"
    assert (sale.payment.reload().state, sale.invoice.reload().state) == (PaymentState.SUCCEEDED, InvoiceState.PAID)
    event = GatewayEvent.objects.get(type="payment_intent.succeeded")
    assert event.result == EventResult.PROCESSED


def test_a_debit_that_fails_again_changes_nothing_until_it_succeeds(sale: Sale, stripe_sandbox: Sandbox) -> None:
    intent = fail_debit(stripe_sandbox, sale.create_session())
    for outcome, state in (("fail", PaymentState.FAILED), ("succeed", PaymentState.SUCCEEDED)):
        make_again(intent, "pm_usBankAccount_success")
        stripe_sandbox.clear_debit(intent, outcome)
        bring_events(stripe_sandbox)
        assert sale.payment.reload().state == state
    failed = [
        each for each in stripe_sandbox.stripe_state()["event"] if each["type"] == "payment_intent.payment_failed"
    ]
    assert len(failed) == 2


def test_a_debit_that_succeeds_after_another_payment_is_under_review(sale: Sale, stripe_sandbox: Sandbox) -> None:
    intent = fail_debit(stripe_sandbox, sale.create_session())
    second = sale.reopened()
    stripe_sandbox.pay(second.create_session())
    bring_events(stripe_sandbox)

    make_again(intent)
    bring_events(stripe_sandbox)

    late = sale.payment.reload()
    assert (late.state, late.received_minor) == (PaymentState.UNDER_REVIEW, 800)
    assert second.payment.reload().state == PaymentState.SUCCEEDED


def test_the_open_session_is_closed_when_the_late_debit_has_paid(sale: Sale, stripe_sandbox: Sandbox) -> None:
    intent = fail_debit(stripe_sandbox, sale.create_session())
    second = sale.reopened()
    url = second.create_session()

    make_again(intent)
    bring_events(stripe_sandbox)
    payment_sync.poll_open_payments(at=timezone.now() + timedelta(seconds=1))

    assert sale.invoice.reload().state == InvoiceState.PAID
    assert second.payment.reload().state == PaymentState.EXPIRED
    assert not stripe_sandbox.pay(url).is_accepted


@pytest.mark.parametrize("way", ["events", "balance"])
def test_a_late_debit_whose_webhook_is_lost_is_found(sale: Sale, stripe_sandbox: Sandbox, way: str) -> None:
    intent = fail_debit(stripe_sandbox, sale.create_session())
    make_again(intent)
    later = timezone.now() + timedelta(hours=2)

    if way == "events":
        catch_up.catch_up_events(gateway="stripe", at=later)
        run_due(later)
    else:
        balance.book_balance_transactions(gateway="stripe", at=later)

    assert sale.payment.reload().state == PaymentState.SUCCEEDED
    assert UnexplainedItem.objects.count() == 0


def test_a_late_debit_brings_its_order_a_server(stripe_sandbox: Sandbox) -> None:
    shop, clock = make_shop(stripe_sandbox), Clock(stripe_sandbox)
    order = place_order(shop, at=clock.now)
    intent = fail_debit(stripe_sandbox, create_session(order, at=clock.now))

    make_again(intent)
    deliver_webhooks(stripe_sandbox, Client())
    run_until_idle(clock)

    assert Order.objects.get().status == OrderStatus.ACTIVE
    assert Payment.objects.get().state == PaymentState.SUCCEEDED
