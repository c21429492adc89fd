"""What only PayPal has: money that we take after an approval, certificates, amounts as text, disputes."""

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from billing import invoicing, payment_sync, refunds
from billing.gateways.abilities import Captures
from billing.gateways.base import CheckoutSessionStatus, driver_of, driver_with
from billing.gateways.paypal.client import from_value, to_value
from billing.ledger_audit import broken_rules
from billing.models import Dispute, GatewayEvent, InvoiceState, PaymentState, RefundState
from core.money import Money
from core.outside import Rejected
from sandbox.paypal import payments as paypal_payments
from tests.billing.sales import Sale, make_sale, run_due
from tests.gateways.adapters import PayPal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sale(paypal: PayPal) -> Sale:
    """An order whose payment page is open."""
    sale = make_sale(
        minor=paypal.minor, currency=paypal.currency, gateway=paypal.code, is_auto_renewed=False, at=timezone.now()
    )
    sale.create_session()
    return sale


def deliver(messages: list[dict[str, Any]]) -> set[int]:
    statuses = {Client().post("/webhooks/paypal/", **message).status_code for message in messages}
    while run_due():
        pass
    return statuses


def captures_asked(paypal: PayPal) -> list[Any]:
    rows = paypal.running.frame.requests.entries
    return [row for row in rows if row.path.endswith("/capture") and row.status == 201]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Money(1250, "USD"), "12.50"),
        (Money(5, "EUR"), "0.05"),
        (Money(1250, "JPY"), "1250"),
        (Money(1250_00, "HUF"), "1250"),
    ],
)
def test_amounts_are_text_with_the_decimals_that_paypal_takes(amount: Money, text: str) -> None:
    value = to_value(amount)

    assert value == {"currency_code": amount.currency, "value": text}
    assert from_value(value) == amount


def test_a_part_of_a_forint_is_not_asked_for() -> None:
    with pytest.raises(Rejected, match="only whole HUF"):
        to_value(Money(1250, "HUF"))


def test_an_approval_is_captured_once_by_messages_and_poller_at_once(sale: Sale, paypal: PayPal) -> None:
    assert paypal.pay(paypal.sessions()[0])
    before = len(captures_asked(paypal))

    def act(number: int) -> None:
        try:
            if number % 2:
                deliver(paypal.signed())
            else:
                payment_sync.sync_payment(payment_id=sale.payment.pk, at=timezone.now())
        finally:
            connections.close_all()

    threads = [Thread(target=act, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(captures_asked(paypal)) - before == 1
    assert len(paypal.sandbox.captures) == 1
    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_a_capture_whose_answer_was_lost_is_looked_at(sale: Sale, paypal: PayPal) -> None:
    assert paypal.pay(paypal.sessions()[0])
    paypal.running.fault("POST /v2/checkout/orders/*/capture", "lose_answer")

    deliver(paypal.signed()[:1])
    payment_sync.poll_open_payments(at=timezone.now() + timedelta(minutes=2))

    assert len(paypal.sandbox.captures) == 1
    assert sale.invoice.reload().state == InvoiceState.PAID


def test_an_order_that_was_captured_already_is_read_instead(sale: Sale, paypal: PayPal) -> None:
    (reference,) = paypal.sessions()
    assert paypal.pay(reference)
    driver = driver_with(paypal.code, Captures)

    captured, again = (driver.capture_session(reference) for _ in range(2))

    refused = [row for row in paypal.running.frame.requests.entries if row.path.endswith("/capture")][-1]
    assert refused.status == 422
    assert captured == again
    assert again.status is CheckoutSessionStatus.PAID
    assert again.payment is not None
    assert (again.payment.payment_id, again.payment.amount) == (sale.payment.pk, sale.payment.amount)
    assert len(paypal.sandbox.captures) == 1


def test_the_money_of_an_order_that_was_canceled_is_never_taken(sale: Sale, paypal: PayPal) -> None:
    invoicing.void_draft(invoice=sale.invoice, at=timezone.now())
    paypal_payments.approve(paypal.sandbox, paypal.sessions()[0])

    assert deliver(paypal.signed()) == {200}
    payment_sync.poll_open_payments(at=timezone.now() + timedelta(minutes=2))

    assert paypal.sandbox.captures == {}
    assert sale.payment.reload().state == PaymentState.EXPIRED


@pytest.mark.parametrize("act", ["complete", "deny"])
def test_a_capture_that_waits_for_a_bank_is_processing_until_decided(sale: Sale, paypal: PayPal, act: str) -> None:
    paypal.sandbox.settings["capture"] = "PENDING"
    assert paypal.pay(paypal.sessions()[0])
    deliver(paypal.signed())
    assert sale.payment.reload().state == PaymentState.PROCESSING

    (capture,) = paypal.sandbox.captures.values()
    getattr(paypal_payments, act)(paypal.sandbox, capture)
    deliver(paypal.signed())

    is_paid = act == "complete"
    assert sale.payment.reload().state == (PaymentState.SUCCEEDED if is_paid else PaymentState.FAILED)
    assert sale.invoice.reload().state == (InvoiceState.PAID if is_paid else InvoiceState.DRAFT)


@pytest.mark.parametrize(
    ("issue", "state"),
    [
        ("INSTRUMENT_DECLINED", PaymentState.PENDING),
        ("TRANSACTION_REFUSED", PaymentState.FAILED),
    ],
)
def test_a_refused_capture_can_be_paid_otherwise_or_is_over(
    sale: Sale, paypal: PayPal, issue: str, state: PaymentState
) -> None:
    paypal.sandbox.settings["capture"] = issue
    assert paypal.pay(paypal.sessions()[0])

    deliver(paypal.signed())

    assert sale.payment.reload().state == state
    if state == PaymentState.PENDING:
        paypal.sandbox.settings["capture"] = "COMPLETED"
        assert paypal.pay(paypal.sessions()[0])
        deliver(paypal.signed())
        assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_a_token_that_ended_early_is_replaced_and_the_call_repeated(paypal: PayPal, sale: Sale) -> None:
    paypal.sandbox.tokens.clear()

    assert driver_of("paypal").read_session(paypal.sessions()[0]).url


@pytest.mark.parametrize("switch", ["forged", "other_webhook"])
def test_an_event_that_is_not_for_this_webhook_is_refused(sale: Sale, paypal: PayPal, switch: str) -> None:
    paypal.sandbox.switches = [switch]
    paypal.pay(paypal.sessions()[0])

    assert deliver(paypal.signed()) == {400}
    assert not GatewayEvent.objects.exists()


def test_a_certificate_is_fetched_from_paypal_only_and_a_lost_one_is_asked_for_again(
    sale: Sale, paypal: PayPal
) -> None:
    paypal.pay(paypal.sessions()[0])
    (message,) = paypal.signed()
    elsewhere = message["headers"] | {"Paypal-Cert-Url": "https://paypal.com.example/v1/notifications/certs/CERT"}
    assert deliver([message | {"headers": elsewhere}]) == {400}

    paypal.running.fault("GET /v1/notifications/certs/", "status")
    assert deliver([message]) == {503}
    assert deliver([message]) == {200}
    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_a_refund_whose_answer_was_lost_is_made_once(sale: Sale, paypal: PayPal) -> None:
    paypal.pay(paypal.sessions()[0])
    deliver(paypal.signed())
    paypal.running.fault("POST /v2/payments/captures/*/refund", "lose_answer")
    part = Money(250, paypal.currency)

    refunds.refund_payment(payment=sale.payment, amount=part, reason="slow", actor=None, at=timezone.now())
    while run_due(timezone.now() + timedelta(minutes=10)):
        pass
    deliver(paypal.signed())

    assert len(paypal.sandbox.refunds) == 1
    assert [row.state for row in sale.payment.refunds.all()] == [RefundState.SUCCEEDED]
    assert broken_rules() == {}


@pytest.mark.parametrize("outcome", ["RESOLVED_BUYER_FAVOUR", "RESOLVED_SELLER_FAVOUR"])
def test_a_dispute_holds_its_amount_until_it_is_decided(sale: Sale, paypal: PayPal, outcome: str) -> None:
    paypal.pay(paypal.sessions()[0])
    deliver(paypal.signed())
    (capture,) = paypal.sandbox.captures
    disputed = paypal_payments.dispute(paypal.sandbox, capture, "10.00")
    deliver(paypal.signed())

    dispute = Dispute.objects.get()
    assert (dispute.amount, sale.payment.reload().state) == (Money(1000, "EUR"), PaymentState.DISPUTED)

    paypal_payments.resolve(paypal.sandbox, disputed["dispute_id"], outcome)
    deliver(paypal.signed())

    assert dispute.reload().is_won is (outcome == "RESOLVED_SELLER_FAVOUR")
    assert broken_rules() == {}
