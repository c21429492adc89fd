"""A gateway that lists no events: what its callbacks do not say, polling finds."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from billing import payment_sync
from billing.models import InvoiceState, Payment, PaymentState
from tests.billing.sales import Sale, make_sale
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
