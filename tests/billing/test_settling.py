"""Money arrives: exactly what was asked for pays, anything else goes under review with its reason."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from billing import events, payments, reviews
from billing.gateways.base import SavedCard
from billing.models import (
    AccountKind,
    InvoiceState,
    JournalEntry,
    Payment,
    PaymentMethod,
    PaymentState,
    SubscriptionStatus,
)
from core.models import AuditEntry
from core.money import Money
from tests.billing.sales import GATEWAY, NOON, balance, make_sale, wallet_balance
from tests.builders import make_user
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db
CARD = SavedCard("pm_1", "visa", "4242", date(2030, 12, 31))


@pytest.fixture
def paid_invoices() -> Iterator[list[UUID]]:
    """The ids of the invoices that `invoices_paid` was sent for."""
    sent: list[UUID] = []
    events.invoices_paid.connect(lambda invoice_ids, **_: sent.extend(invoice_ids), weak=False, dispatch_uid="test")
    yield sent
    events.invoices_paid.disconnect(dispatch_uid="test")


def test_the_same_gateway_payment_twice_pays_once(paid_invoices: list[UUID]) -> None:
    sale = make_sale()
    assert sale.settle() == sale.settle()
    assert balance(AccountKind.REVENUE) == 800
    assert JournalEntry.objects.count() == 2
    assert paid_invoices == [sale.invoice.pk]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": Money(799, "USD")}, "asked for 800, got 799"),
        ({"amount": Money(801, "USD")}, "asked for 800, got 801"),
        ({"amount": Money(1, "USD")}, "asked for 800, got 1 "),
        ({"amount": Money(800, "EUR")}, "asked for USD, got EUR"),
        ({"payment_id": uuid4()}, "another payment"),
        ({"payment_id": None}, "another payment"),
        ({"organization_id": uuid4()}, "another payment or organization"),
        ({"is_live": True}, "live money in test mode"),
    ],
)
def test_money_that_is_not_what_was_asked_for_goes_under_review(
    change: dict[str, Any], reason: str, paid_invoices: list[UUID]
) -> None:
    sale = make_sale()

    payment = sale.settle(**change)

    assert payment.state == PaymentState.UNDER_REVIEW
    assert reason in payment.review_reason
    assert payment.received == sale.gateway_payment(**change).amount
    assert sale.invoice.reload().state == InvoiceState.DRAFT
    assert sale.subscription.reload().status == SubscriptionStatus.PENDING
    assert balance(AccountKind.SUSPENSE, payment.received.currency) == payment.received.minor
    assert balance(AccountKind.CLEARING, payment.received.currency) == -payment.received.minor
    assert paid_invoices == []


def test_a_second_transaction_for_one_payment_goes_under_review_beside_the_first() -> None:
    sale = make_sale()
    first = sale.settle()
    second = sale.settle(transaction_id="pi_second")

    assert first.reload().state == PaymentState.SUCCEEDED
    assert second.state == PaymentState.UNDER_REVIEW
    assert "second transaction" in second.review_reason
    assert balance(AccountKind.CLEARING) == -1600
    assert sale.settle(transaction_id="pi_second") == second


def test_two_payments_of_one_invoice_pay_it_once_and_the_other_goes_under_review() -> None:
    sale = make_sale()
    payments.expire(payment_id=sale.payment.pk, at=NOON)
    other = payments.open_payment(invoice=sale.invoice, gateway=GATEWAY, expires_at=NOON, at=NOON)
    gateway_payment = replace(sale.gateway_payment(), transaction_id="pi_other", payment_id=other.pk)

    payments.settle(payment_id=other.pk, gateway_payment=gateway_payment, at=NOON)
    late = sale.settle()

    assert late.state == PaymentState.UNDER_REVIEW
    assert "paid already" in late.review_reason
    assert balance(AccountKind.REVENUE) == 800


def test_one_transaction_cannot_pay_for_two(paid_invoices: list[UUID]) -> None:
    first, second = make_sale(), make_sale()
    paid = first.settle(transaction_id="pi_1")
    assert second.settle(transaction_id="pi_1") == paid
    assert second.payment.reload().state == PaymentState.PENDING
    assert paid_invoices == [first.invoice.pk]


def test_money_for_an_expired_payment_still_pays_its_invoice() -> None:
    sale = make_sale()
    payments.expire(payment_id=sale.payment.pk, at=NOON)
    assert sale.settle().state == PaymentState.SUCCEEDED
    assert sale.invoice.reload().state == InvoiceState.PAID


def test_an_invoice_has_one_open_payment() -> None:
    sale = make_sale()
    again = payments.open_payment(invoice=sale.invoice, gateway=GATEWAY, expires_at=NOON, at=NOON)
    assert again == sale.payment
    sale.settle()
    with pytest.raises(ValueError, match="does not wait"):
        payments.open_payment(invoice=sale.invoice, gateway=GATEWAY, expires_at=NOON, at=NOON)


def test_a_settled_payment_neither_fails_nor_expires() -> None:
    sale = make_sale()
    sale.settle()
    assert not payments.fail(payment_id=sale.payment.pk, reason="late", at=NOON)
    assert not payments.expire(payment_id=sale.payment.pk, at=NOON)
    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_the_first_saved_card_becomes_the_default() -> None:
    first, second = make_sale(), make_sale()
    first.settle(card=CARD)
    second.settle(card=CARD)  # the same card of another organization stays where it is
    method = PaymentMethod.objects.get()
    assert (method.organization, method.is_default, method.last4) == (first.organization, True, "4242")

    third = make_sale(organization=first.organization)
    assert third.settle(card=replace(CARD, reference="pm_2")).state == PaymentState.SUCCEEDED
    assert not PaymentMethod.objects.get(reference="pm_2").is_default


def test_accepted_money_pays_the_invoice_when_it_suffices() -> None:
    sale = make_sale()
    reviewed = sale.settle(amount=Money(900, "USD"))

    staff = make_user(is_staff=True)
    accepted = reviews.accept_payment(payment_id=reviewed.pk, reason="it was a tip", actor=staff, at=NOON)

    assert accepted.state == PaymentState.SUCCEEDED
    assert sale.invoice.reload().state == InvoiceState.PAID
    assert wallet_balance(sale.organization) == 100
    assert balance(AccountKind.SUSPENSE) == 0
    assert AuditEntry.objects.get(action="payment.accept_payment").actor == staff
    later = NOON + timedelta(hours=1)
    assert reviews.accept_payment(payment_id=reviewed.pk, reason="again", actor=staff, at=later).accepted_at == NOON
    assert AuditEntry.objects.filter(action="payment.accept_payment").count() == 1
    assert wallet_balance(sale.organization) == 100


def test_accepted_money_that_does_not_suffice_is_credit() -> None:
    sale = make_sale()
    reviewed = sale.settle(amount=Money(799, "USD"))
    reviews.accept_payment(payment_id=reviewed.pk, reason="take it", actor=None, at=NOON)
    assert sale.invoice.reload().state == InvoiceState.DRAFT
    assert wallet_balance(sale.organization) == 799


@pytest.mark.django_db(transaction=True)
def test_eight_workers_at_once_settle_a_payment_once() -> None:
    sale = make_sale()

    assert run_at_once(sale.settle, times=8) == []

    assert Payment.objects.get().state == PaymentState.SUCCEEDED
    assert balance(AccountKind.REVENUE) == 800
    assert wallet_balance(sale.organization) == 0
