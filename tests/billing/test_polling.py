"""Webhooks that nobody hears: open payments are looked at, and closed in time."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from billing import polling
from billing.gateways import driver_of
from billing.models import InvoiceState, Payment, PaymentState
from sandbox.client import Sandbox
from tests.billing.sales import Sale, make_sale, transactions

pytestmark = pytest.mark.django_db(transaction=True)
READS = "GET /v1/checkout/sessions"


@pytest.fixture
def sale(stripe_sandbox: Sandbox) -> Sale:
    """An order placed now, without webhooks."""
    return make_sale(at=timezone.now())


def poll(at: datetime) -> PaymentState:
    """Poll, and say how the only payment stands."""
    polling.poll_open_payments(at=at)
    return PaymentState(Payment.objects.get().state)


def test_a_payment_is_looked_at_seldom_and_seldomer(sale: Sale, stripe_sandbox: Sandbox) -> None:
    start = timezone.now()
    sale.page(at=start)
    seconds = range(0, 1800, 10)
    looks = [second for second in seconds if polling.poll_open_payments(at=start + timedelta(seconds=second))]
    assert looks[:8] == [30, 60, 90, 120, 180, 240, 300, 420]
    assert looks[-3:] == [900, 1200, 1500]


def test_a_page_nobody_used_is_closed_at_its_time(sale: Sale, stripe_sandbox: Sandbox) -> None:
    url = sale.page()
    assert poll(sale.expires_at - timedelta(seconds=1)) == PaymentState.PENDING

    assert poll(sale.expires_at + timedelta(seconds=1)) == PaymentState.EXPIRED

    assert stripe_sandbox.stripe_state()["checkout.session"][0]["status"] == "expired"
    assert not stripe_sandbox.pay(url).is_accepted
    assert transactions(stripe_sandbox) == []


def test_a_page_paid_in_the_last_moment_is_settled_and_not_closed(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.page())
    assert poll(sale.expires_at + timedelta(seconds=1)) == PaymentState.SUCCEEDED


def test_a_page_paid_between_the_look_and_the_closing_is_settled(
    sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sale.page()
    driver = driver_of("stripe")
    closing = driver.expire_session

    def pay_first(reference: str) -> object:
        stripe_sandbox.pay(url)
        return closing(reference)

    monkeypatch.setattr(driver, "expire_session", pay_first)
    assert poll(sale.expires_at + timedelta(seconds=1)) == PaymentState.SUCCEEDED
    assert sale.invoice.reload().state == InvoiceState.PAID


def test_a_payment_whose_page_was_never_asked_for_just_expires(sale: Sale, stripe_sandbox: Sandbox) -> None:
    assert poll(sale.expires_at + timedelta(seconds=1)) == PaymentState.EXPIRED
    assert stripe_sandbox.requests("stripe") == []


def test_a_page_asked_for_and_never_made_expires_after_a_look(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", "POST /v1/checkout/sessions", "drop", times=0)
    with pytest.raises(Exception, match="Stripe page"):
        sale.page()
    stripe_sandbox.clear_faults()

    assert poll(sale.expires_at + timedelta(seconds=1)) == PaymentState.EXPIRED

    assert stripe_sandbox.requests("stripe", READS)


def test_while_stripe_is_down_nothing_is_given_up(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.page())
    late = sale.expires_at + timedelta(seconds=1)
    stripe_sandbox.arm("stripe", READS, "status", status=503, times=0)
    assert poll(late) == PaymentState.PENDING
    stripe_sandbox.clear_faults()

    assert poll(late + timedelta(minutes=3)) == PaymentState.SUCCEEDED


def test_the_trouble_of_one_payment_does_not_keep_the_others_waiting(stripe_sandbox: Sandbox) -> None:
    bad, good = make_sale(at=timezone.now()), make_sale(at=timezone.now())
    for sale in (bad, good):
        stripe_sandbox.pay(sale.page())
    Payment.objects.filter(pk=bad.payment.pk).update(session_id="cs_test_unknown")

    assert polling.poll_open_payments(at=timezone.now() + timedelta(minutes=1)) == 2

    assert bad.payment.reload().state == PaymentState.PENDING
    assert good.payment.reload().state == PaymentState.SUCCEEDED


def test_a_bank_debit_waits_for_the_bank_and_then_pays(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.page(), card="pm_usBankAccount_success")
    soon = timezone.now() + timedelta(minutes=1)
    assert poll(soon) == PaymentState.PROCESSING
    assert poll(sale.expires_at + timedelta(minutes=30)) == PaymentState.PROCESSING

    intent = stripe_sandbox.stripe_state()["payment_intent"][0]["id"]
    stripe_sandbox.clear_debit(intent)

    assert poll(soon + timedelta(hours=3)) == PaymentState.SUCCEEDED


def test_a_bank_debit_that_bounces_fails_the_payment(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.page(), card="pm_usBankAccount_insufficientFunds")
    soon = timezone.now() + timedelta(minutes=1)
    assert poll(soon) == PaymentState.PROCESSING
    stripe_sandbox.clear_debit(stripe_sandbox.stripe_state()["payment_intent"][0]["id"], "fail")

    assert poll(soon + timedelta(hours=2)) == PaymentState.FAILED
    assert "insufficient funds" in sale.payment.reload().failure
    assert sale.reopened(soon).payment.state == PaymentState.PENDING
