"""What every gateway must do, whatever it can: one suite that each runs against its own stand-in."""

from datetime import datetime, timedelta
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connections, transaction
from django.db.models import F
from django.test import Client
from django.utils import timezone

from billing import checkout, invoicing, payment_sync, refunds
from billing.gateways import abilities
from billing.gateways.base import driver_of
from billing.models import (
    AccountKind,
    EventResult,
    GatewayAccount,
    GatewayCustomer,
    GatewayEvent,
    InvoiceState,
    Payment,
    PaymentState,
    RefundState,
)
from core import outside
from core.models import WorkState
from core.money import Money
from tests.billing.sales import Sale, balance, make_sale, run_due, wallet_balance
from tests.gateways.adapters import Adapter

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sale(gateway: Adapter) -> Sale:
    """An order placed now, to be paid by the gateway."""
    sale = make_sale(
        minor=gateway.minor, currency=gateway.currency, gateway=gateway.code, is_auto_renewed=False, at=timezone.now()
    )
    gateway.choose(sale.payment)
    return sale


def deliver(gateway: Adapter, requests: list[dict[str, Any]] | None = None) -> list[int]:
    """Deliver the gateway's messages, and run the work that follows; the statuses answered."""
    messages = gateway.signed() if requests is None else requests
    statuses = [Client().post(f"/webhooks/{gateway.code}/", **message).status_code for message in messages]
    while run_due():
        pass
    return statuses


def pay(gateway: Adapter, sale: Sale) -> None:
    """Open the page and pay there."""
    sale.create_session()
    assert gateway.pay(str(sale.payment.reload().session_id))


def settled(gateway: Adapter, sale: Sale) -> None:
    """One payment, one paid invoice, and clearing is what the gateway holds."""
    payment = sale.payment.reload()
    assert (payment.state, payment.received) == (PaymentState.SUCCEEDED, payment.amount)
    assert sale.invoice.reload().state == InvoiceState.PAID
    assert balance(AccountKind.REVENUE, gateway.currency) == gateway.minor
    gateway.book_fees(timezone.now())
    fees = -balance(AccountKind.GATEWAY_FEES, gateway.currency)
    assert fees > 0
    assert -balance(AccountKind.CLEARING, gateway.currency) == gateway.held() == gateway.minor - fees


def late(seconds: float = 61) -> datetime:
    """A moment after a lost answer can no longer be on its way."""
    return timezone.now() + timedelta(seconds=seconds)


# -- paying ------------------------------------------------------------------------------------------------------------


def test_a_payment_settles_once_and_its_fee_is_booked(gateway: Adapter, sale: Sale) -> None:
    pay(gateway, sale)

    assert set(deliver(gateway)) == {200}

    settled(gateway, sale)
    assert GatewayEvent.objects.exclude(state=WorkState.DONE).count() == 0


def test_a_form_may_lead_to_the_gateways_page(gateway: Adapter, sale: Sale) -> None:
    page = urlsplit(sale.create_session())

    policy = Client().get("/")["Content-Security-Policy"]

    (form_action,) = (each for each in policy.split("; ") if each.startswith("form-action "))
    assert f"{page.scheme}://{page.netloc}" in form_action.split()


def test_a_gateway_has_a_customer_only_where_it_keeps_customers(gateway: Adapter, sale: Sale) -> None:
    sale.create_session()

    has_customers = isinstance(driver_of(gateway.code), abilities.Customers)
    assert GatewayCustomer.objects.exists() == has_customers


def test_a_message_delivered_again_and_again_changes_nothing(gateway: Adapter, sale: Sale) -> None:
    pay(gateway, sale)
    for _ in range(3):
        assert set(deliver(gateway)) == {200}

    settled(gateway, sale)
    events = GatewayEvent.objects.filter(gateway=gateway.code)
    assert events.count() == events.values("event_id").distinct().count()


def test_a_forged_message_is_refused_and_stores_nothing(gateway: Adapter, sale: Sale) -> None:
    pay(gateway, sale)

    assert set(deliver(gateway, gateway.forged())) == {400}

    assert not GatewayEvent.objects.exists()
    assert sale.payment.reload().state == PaymentState.PENDING


def test_what_a_message_claims_is_not_used_but_the_session_read_again(gateway: Adapter, sale: Sale) -> None:
    sale.create_session()
    reference = str(sale.payment.reload().session_id)

    assert deliver(gateway, [gateway.false_claim(reference)]) == [200]

    assert sale.payment.reload().state == PaymentState.PENDING
    assert GatewayEvent.objects.get().state == WorkState.DONE


def test_without_any_message_the_poller_settles_the_payment(gateway: Adapter, sale: Sale) -> None:
    pay(gateway, sale)

    payment_sync.poll_open_payments(at=late())

    settled(gateway, sale)
    deliver(gateway)
    settled(gateway, sale)


def test_poller_and_messages_at_once_settle_once(gateway: Adapter, sale: Sale) -> None:
    pay(gateway, sale)
    messages = gateway.signed()

    def act(number: int) -> None:
        try:
            if number % 2:
                payment_sync.sync_payment(payment_id=sale.payment.pk, at=timezone.now())
            else:
                deliver(gateway, messages)
        finally:
            connections.close_all()

    threads = [Thread(target=act, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deliver(gateway)

    settled(gateway, sale)


def test_money_of_another_amount_than_asked_goes_under_review(gateway: Adapter, sale: Sale) -> None:
    pay(gateway, sale)
    Payment.objects.update(amount_minor=F("amount_minor") + 100)

    deliver(gateway)

    payment = sale.payment.reload()
    assert (payment.state, payment.received.minor) == (PaymentState.UNDER_REVIEW, gateway.minor)
    event = GatewayEvent.objects.filter(result=EventResult.UNDER_REVIEW).earliest("received_at")
    assert event.note == payment.review_reason
    assert f"got {gateway.minor} minor units of {gateway.currency}" in event.note
    assert sale.invoice.reload().state == InvoiceState.DRAFT


def test_money_of_the_other_mode_goes_under_review(gateway: Adapter, sale: Sale) -> None:
    pay(gateway, sale)
    with transaction.atomic():  # the account and all that was made at it took real money, and this is a test's
        for model in (GatewayAccount, Payment, GatewayCustomer):
            model._default_manager.all().update(is_live=True)

    deliver(gateway)

    assert sale.payment.reload().state == PaymentState.UNDER_REVIEW
    assert "test money" in sale.payment.reload().review_reason
    assert sale.invoice.reload().state == InvoiceState.DRAFT


# -- lost answers ------------------------------------------------------------------------------------------------------


def test_a_session_whose_answer_was_lost_is_the_one_that_is_shown(gateway: Adapter, sale: Sale) -> None:
    gateway.lose_answer()
    try:
        sale.create_session()
    except outside.Unknown:
        sale.create_session(at=late())

    assert gateway.sessions() == [sale.payment.reload().session_id]
    pay(gateway, sale)
    deliver(gateway)
    settled(gateway, sale)


def test_a_session_whose_answer_was_lost_and_that_was_paid_is_found(gateway: Adapter, sale: Sale) -> None:
    gateway.lose_answer()
    try:
        sale.create_session()
    except outside.Unknown:
        assert sale.payment.reload().session_id is None
    assert gateway.pay(gateway.sessions()[0])

    if gateway.lists_sessions:
        payment_sync.poll_open_payments(at=late())
    else:
        deliver(gateway)

    settled(gateway, sale)


def test_a_request_that_never_arrived_is_sent_again_once_it_cannot_arrive_any_more(
    gateway: Adapter, sale: Sale
) -> None:
    gateway.lose_request()
    with pytest.raises(outside.OutsideError):
        sale.create_session()
    gateway.restore()

    sale.create_session(at=late())

    assert len(gateway.sessions()) == 1
    pay(gateway, sale)


def test_while_the_first_request_may_be_on_its_way_nothing_is_created_beside_it(gateway: Adapter, sale: Sale) -> None:
    gateway.lose_request()
    with pytest.raises(outside.OutsideError):
        sale.create_session()
    gateway.restore()

    if driver_of(gateway.code).HAS_IDEMPOTENCY_KEYS:
        assert sale.create_session()
    else:
        with pytest.raises(outside.Unknown):
            sale.create_session()

    assert len(gateway.sessions()) == driver_of(gateway.code).HAS_IDEMPOTENCY_KEYS


# -- the end of the time to pay ----------------------------------------------------------------------------------------


def test_a_page_that_nobody_paid_ends_with_its_payment(gateway: Adapter, sale: Sale) -> None:
    sale.create_session()
    gateway.advance(46 * 60)

    payment_sync.poll_open_payments(at=late(46 * 60))

    assert sale.payment.reload().state == PaymentState.EXPIRED
    assert not gateway.pay(gateway.sessions()[0])


def test_a_canceled_invoice_is_never_called_unpaid_while_it_can_be_paid(gateway: Adapter, sale: Sale) -> None:
    """Where the page can be closed it is; where not, the payment stays open, and canceling is refused before."""
    sale.create_session()
    can_close = isinstance(driver_of(gateway.code), abilities.SessionExpiry)
    assert checkout.is_payable_until_expiry(sale.invoice) is not can_close

    invoicing.void_draft(invoice=sale.invoice, at=timezone.now())
    payment_sync.poll_open_payments(at=late())

    is_payable = gateway.pay(gateway.sessions()[0])
    assert is_payable is not can_close
    assert sale.payment.reload().state == (PaymentState.EXPIRED if can_close else PaymentState.PENDING)


# -- giving back -------------------------------------------------------------------------------------------------------


def test_what_is_given_back_goes_to_the_payer_or_becomes_credit(gateway: Adapter, sale: Sale) -> None:
    pay(gateway, sale)
    deliver(gateway)

    refunds.refund_invoice(invoice=sale.invoice, reason="not delivered", actor=None, at=timezone.now())
    deliver(gateway)

    assert sale.invoice.reload().state == InvoiceState.REFUNDED
    if refunds.sends_refunds(gateway.code):
        assert [refund.state for refund in sale.payment.refunds.all()] == [RefundState.SUCCEEDED]
        assert sale.payment.reload().state == PaymentState.REFUNDED
        assert wallet_balance(sale.organization, gateway.currency) == 0
    else:
        assert not sale.payment.refunds.exists()
        assert sale.payment.reload().state == PaymentState.SUCCEEDED
        assert wallet_balance(sale.organization, gateway.currency) == gateway.minor
        assert -balance(AccountKind.CLEARING, gateway.currency) == gateway.held()


def test_staff_give_a_part_back_as_the_gateway_can(gateway: Adapter, sale: Sale) -> None:
    pay(gateway, sale)
    deliver(gateway)
    part, at = Money(gateway.minor // 4, gateway.currency), timezone.now()
    given: dict[str, Any] = {"payment": sale.payment, "amount": part, "reason": "slow", "actor": None, "at": at}

    if refunds.sends_refunds(gateway.code):
        refunds.refund_payment(**given)
        deliver(gateway)
    else:
        with pytest.raises(refunds.NotRefundable, match="does not send this money back"):
            refunds.refund_payment(**given)
        refunds.credit_payment(**given)

    assert sale.invoice.reload().state == InvoiceState.PAID
    assert refunds.refundable_of(sale.payment.reload()).minor == gateway.minor - part.minor
