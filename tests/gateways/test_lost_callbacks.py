"""A gateway that lists no events: what its callbacks do not say, polling finds."""

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import invoicing, payment_sync
from billing.ledger_audit import broken_rules
from billing.models import InvoiceState, Payment, PaymentState
from billing.models.payments import LATE_CONFIRMATION
from tests.billing.sales import Sale, make_sale, run_due, wallet_balance
from tests.gateways.adapters import Tripay

pytestmark = pytest.mark.django_db(transaction=True)
END = timedelta(minutes=46)  # the time to pay is over


@pytest.fixture
def sale(tripay: Tripay) -> Sale:
    """An order whose payment page is open."""
    sale = make_sale(
        minor=tripay.minor, currency=tripay.currency, gateway=tripay.code, is_auto_renewed=False, at=timezone.now()
    )
    tripay.choose(sale.payment)
    sale.create_session()
    return sale


def poll(sale: Sale, at: datetime) -> tuple[PaymentState, InvoiceState]:
    """Poll; what became of the sale."""
    payment_sync.poll_open_payments(at=at)
    return PaymentState(sale.payment.reload().state), InvoiceState(sale.invoice.reload().state)


def test_a_bank_that_confirms_after_the_end_is_seen_an_hour_later(sale: Sale, tripay: Tripay) -> None:
    at = timezone.now() + END
    tripay.advance(END.total_seconds())
    assert poll(sale, at)[0] == PaymentState.EXPIRED
    tripay.sandbox.change(tripay.sessions()[0], "PAID")

    assert poll(sale, at + timedelta(minutes=59))[0] == PaymentState.EXPIRED
    assert poll(sale, at + timedelta(minutes=61)) == (PaymentState.SUCCEEDED, InvoiceState.PAID)


def test_a_payment_that_nobody_confirms_is_looked_for_once_more_and_never_again(sale: Sale, tripay: Tripay) -> None:
    at = timezone.now() + END
    tripay.advance(END.total_seconds())
    poll(sale, at)

    assert payment_sync.poll_open_payments(at=at + timedelta(minutes=61)) == 1

    assert Payment.objects.get().poll_at is None
    assert sale.payment.reload().state == PaymentState.EXPIRED


def test_of_two_sessions_of_one_payment_that_which_was_paid_is_found_before_the_payment_ends(
    sale: Sale, tripay: Tripay
) -> None:
    (first,) = tripay.sessions()
    repeated = "DEV-T123450000000000000099"
    tripay.sandbox.transactions[repeated] = tripay.sandbox.transactions[first] | {"reference": repeated}
    assert tripay.pay(repeated)
    tripay.advance(END.total_seconds())

    assert poll(sale, timezone.now() + END) == (PaymentState.SUCCEEDED, InvoiceState.PAID)

    assert sale.payment.reload().transaction_id == repeated


def request_again(sale: Sale, tripay: Tripay) -> tuple[str, str]:
    """The first request arrives only after it was repeated: two sessions of one payment."""
    payment = Payment.objects.get()
    Payment.objects.filter(pk=payment.pk).update(session_id=None, session_url="")
    (first,) = tripay.sessions()
    delayed = tripay.sandbox.transactions.pop(first)
    sale.create_session(at=timezone.now() + timedelta(minutes=2))
    (second,) = tripay.sessions()
    late = delayed | {"reference": "DEV-T123450000000000000099"}
    tripay.sandbox.transactions[late["reference"]] = late
    return late["reference"], second


def test_of_two_paid_sessions_that_without_a_callback_is_found_and_becomes_credit(sale: Sale, tripay: Tripay) -> None:
    first, second = request_again(sale, tripay)
    assert tripay.pay(second)
    payment_sync.sync_payment(payment_id=sale.payment.pk, at=timezone.now())
    assert sale.payment.reload().state == PaymentState.SUCCEEDED
    assert tripay.pay(first)  # and its callback is lost

    payment_sync.poll_open_payments(at=timezone.now() + END + LATE_CONFIRMATION)

    assert sale.payment.reload().transaction_id == second
    duplicate = Payment.objects.exclude(pk=sale.payment.pk).get()
    assert (duplicate.transaction_id, duplicate.state) == (first, PaymentState.SUCCEEDED)
    assert "second transaction" in duplicate.review_reason
    assert wallet_balance(sale.organization, tripay.currency) == tripay.minor
    assert broken_rules() == {}
    assert not Payment.objects.filter(poll_at__isnull=False).exists()


@pytest.mark.parametrize("is_expired", [False, True])
def test_two_sessions_that_are_paid_before_we_look_are_both_found(sale: Sale, tripay: Tripay, is_expired: bool) -> None:
    at = timezone.now() + END
    paid = request_again(sale, tripay)
    if is_expired:
        tripay.advance(END.total_seconds())
        assert poll(sale, at)[0] == PaymentState.EXPIRED
        at += timedelta(minutes=61)
    for reference in paid:
        tripay.sandbox.change(reference, "PAID")

    assert poll(sale, at)[1] == InvoiceState.PAID

    payment_sync.poll_open_payments(at=at + END + LATE_CONFIRMATION)
    states = dict(Payment.objects.values_list("transaction_id", "state"))
    assert set(states) == set(paid)
    assert set(states.values()) == {PaymentState.SUCCEEDED}
    assert wallet_balance(sale.organization, tripay.currency) == tripay.minor


def test_a_payment_whose_session_was_requested_once_is_not_looked_at_again(sale: Sale, tripay: Tripay) -> None:
    assert tripay.pay(tripay.sessions()[0])
    payment_sync.sync_payment(payment_id=sale.payment.pk, at=timezone.now())

    assert Payment.objects.get().poll_at is None


@pytest.mark.parametrize("is_called_back", [True, False])
def test_who_chooses_another_way_is_told_of_the_open_page_and_what_is_paid_there_is_credit(
    sale: Sale, tripay: Tripay, client: Client, is_called_back: bool
) -> None:
    now = timezone.now()
    invoicing.issue_invoice(invoice=sale.invoice, at=now)
    client.force_login(sale.organization.owner)
    pay_page = reverse("billing:pay", kwargs={"pk": sale.invoice.pk})
    assert "Pay only once" in client.get(pay_page).content.decode()
    (first,) = tripay.sessions()

    client.post(pay_page, {"option": f"{tripay.code}:QRIS", "shown_credit": "0"})

    (second,) = (each for each in tripay.sessions() if each != first)
    assert sale.payment.reload().state == PaymentState.EXPIRED
    assert "Pay only once" in client.get(pay_page).content.decode()
    assert tripay.pay(second)
    payment_sync.poll_open_payments(at=now + timedelta(minutes=10))
    assert sale.invoice.reload().state == InvoiceState.PAID
    assert tripay.pay(first)
    if is_called_back:
        for message in tripay.signed():
            client.post("/webhooks/tripay/", **message)
        while run_due():
            pass
    else:
        payment_sync.poll_open_payments(at=now + END + LATE_CONFIRMATION)

    assert sale.payment.reload().state == PaymentState.SUCCEEDED
    assert wallet_balance(sale.organization, tripay.currency) == tripay.minor
    assert broken_rules() == {}
