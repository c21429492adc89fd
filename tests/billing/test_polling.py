"""Open payments are polled, so that a lost webhook is made up for, and expire in time."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from billing import payment_sync
from billing.gateways.stripe import StripeDriver
from billing.models import InvoiceState, Payment, PaymentState
from sandbox.client import Sandbox
from tests.billing.sales import Sale, make_sale

pytestmark = pytest.mark.django_db(transaction=True)
READS = "GET /v1/checkout/sessions"


@pytest.fixture
def sale(stripe_sandbox: Sandbox) -> Sale:
    """An order placed now, without webhooks."""
    return make_sale(at=timezone.now())


def poll(at: datetime) -> PaymentState:
    """Poll; the state of the only payment."""
    payment_sync.poll_open_payments(at=at)
    return PaymentState(Payment.objects.get().state)


def test_a_payment_is_polled_at_growing_intervals(sale: Sale, stripe_sandbox: Sandbox) -> None:
    start = timezone.now()
    sale.create_session(at=start)
    seconds = range(0, 1800, 10)
    polls = [second for second in seconds if payment_sync.poll_open_payments(at=start + timedelta(seconds=second))]
    assert polls[:8] == [30, 60, 90, 120, 180, 240, 300, 420]
    assert polls[-3:] == [900, 1200, 1500]


def test_a_session_paid_in_the_last_moment_is_settled_and_not_expired(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session())
    assert poll(sale.expires_at + timedelta(seconds=1)) == PaymentState.SUCCEEDED


def test_a_session_paid_between_its_read_and_its_expiry_is_settled(
    sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sale.create_session()
    expire = StripeDriver.expire_session

    def pay_first(driver: StripeDriver, reference: str) -> object:
        stripe_sandbox.pay(url)
        return expire(driver, reference)

    monkeypatch.setattr(StripeDriver, "expire_session", pay_first)
    assert poll(sale.expires_at + timedelta(seconds=1)) == PaymentState.SUCCEEDED
    assert sale.invoice.reload().state == InvoiceState.PAID


def test_a_payment_without_a_session_expires_without_a_call(sale: Sale, stripe_sandbox: Sandbox) -> None:
    assert poll(sale.expires_at + timedelta(seconds=1)) == PaymentState.EXPIRED
    assert stripe_sandbox.requests("stripe") == []


def test_a_session_that_was_requested_and_never_created_is_searched_for_and_expires(
    sale: Sale, stripe_sandbox: Sandbox
) -> None:
    stripe_sandbox.arm("stripe", "POST /v1/checkout/sessions", "drop", times=0)
    with pytest.raises(Exception, match="Stripe session"):
        sale.create_session()
    stripe_sandbox.clear_faults()

    assert poll(sale.expires_at + timedelta(seconds=1)) == PaymentState.EXPIRED

    assert stripe_sandbox.requests("stripe", READS)


def test_while_stripe_is_down_no_payment_expires(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session())
    late = sale.expires_at + timedelta(seconds=1)
    stripe_sandbox.arm("stripe", READS, "status", status=503, times=0)
    assert poll(late) == PaymentState.PENDING
    stripe_sandbox.clear_faults()

    assert poll(late + timedelta(minutes=3)) == PaymentState.SUCCEEDED


def test_an_error_with_one_payment_does_not_delay_the_others(stripe_sandbox: Sandbox) -> None:
    bad, good = make_sale(at=timezone.now()), make_sale(at=timezone.now())
    for sale in (bad, good):
        stripe_sandbox.pay(sale.create_session())
    Payment.objects.filter(pk=bad.payment.pk).update(session_id="cs_test_unknown")

    assert payment_sync.poll_open_payments(at=timezone.now() + timedelta(minutes=1)) == 2

    assert bad.payment.reload().state == PaymentState.PENDING
    assert good.payment.reload().state == PaymentState.SUCCEEDED


def test_a_bank_debit_waits_for_the_bank_and_then_pays(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session(), card="pm_usBankAccount_success")
    soon = timezone.now() + timedelta(minutes=1)
    assert poll(soon) == PaymentState.PROCESSING
    assert poll(sale.expires_at + timedelta(minutes=30)) == PaymentState.PROCESSING

    intent = stripe_sandbox.stripe_state()["payment_intent"][0]["id"]
    stripe_sandbox.clear_debit(intent)

    assert poll(soon + timedelta(hours=3)) == PaymentState.SUCCEEDED


def test_a_bank_debit_that_bounces_fails_the_payment(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session(), card="pm_usBankAccount_insufficientFunds")
    soon = timezone.now() + timedelta(minutes=1)
    assert poll(soon) == PaymentState.PROCESSING
    stripe_sandbox.clear_debit(stripe_sandbox.stripe_state()["payment_intent"][0]["id"], "fail")

    assert poll(soon + timedelta(hours=2)) == PaymentState.FAILED
    assert "insufficient funds" in sale.payment.reload().failure
    assert sale.reopened(soon).payment.state == PaymentState.PENDING
