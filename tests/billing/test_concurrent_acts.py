"""Two acts on one invoice or payment at the same moment: they happen one after the other, and the books agree."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from billing import invoicing, payments, refunds, reviews
from billing.ledger_audit import broken_rules
from billing.models import EntryKind, InvoiceState, JournalEntry, PaymentState
from core.models import AuditEntry
from tests.billing.sales import NOON, Sale, allocated, draft, make_sale, usd, wallet_balance
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)


def run_both(first: Callable[[], object], second: Callable[[], object]) -> list[BaseException]:
    """Run two acts in two threads that begin together; what they raised."""
    acts = iter([first, second])
    return run_at_once(lambda: next(acts)(), times=2)


def issue_unpaid(sale: Sale) -> None:
    """Issue the sale's invoice; its payment failed, and may still arrive."""
    invoicing.issue_invoice(invoice=sale.invoice, at=NOON)
    payments.fail(payment_id=sale.payment.pk, reason="the bank refused", at=NOON)


def test_of_two_voids_at_once_one_is_refused() -> None:
    sale = make_sale()
    issue_unpaid(sale)

    errors = run_at_once(
        lambda: invoicing.void_invoice(invoice=sale.invoice, reason="billed in error", actor=None, at=NOON), times=2
    )

    assert [type(error) for error in errors] == [invoicing.NotVoidable]
    assert sale.invoice.reload().state == InvoiceState.VOID
    assert AuditEntry.objects.filter(action="invoice.void").count() == 1


def test_an_invoice_that_is_paid_while_staff_void_it_is_paid_or_void() -> None:
    ordered = make_sale()
    sale = replace(ordered, invoice=draft(ordered, 900)).reopened(NOON)
    issue_unpaid(sale)

    errors = run_both(
        lambda: invoicing.void_invoice(invoice=sale.invoice, reason="billed in error", actor=None, at=NOON), sale.settle
    )

    states = (sale.invoice.reload().state, sale.payment.reload().state)
    if errors:
        assert [type(error) for error in errors] == [invoicing.NotVoidable]
        assert states == (InvoiceState.PAID, PaymentState.SUCCEEDED)
    else:
        assert states == (InvoiceState.VOID, PaymentState.UNDER_REVIEW)
    assert broken_rules() == {}


def test_of_two_acceptances_at_once_one_is_booked() -> None:
    sale = make_sale()
    reviewed = sale.settle(amount=usd(900))

    errors = run_at_once(lambda: reviews.accept_payment(payment_id=reviewed.pk, actor=None, at=NOON), times=2)

    assert errors == []
    assert JournalEntry.objects.filter(kind=EntryKind.REVIEW_ACCEPTED).count() == 1
    assert AuditEntry.objects.filter(action="payment.accept_payment").count() == 1
    assert (allocated(sale.invoice), wallet_balance(sale.organization)) == ([(reviewed, 800)], 100)
    assert broken_rules() == {}


def test_money_that_is_refunded_while_it_is_accepted_is_not_spent_twice() -> None:
    sale = make_sale()
    reviewed = sale.settle(amount=usd(900))

    errors = run_both(
        lambda: reviews.accept_payment(payment_id=reviewed.pk, actor=None, at=NOON),
        lambda: refunds.refund_payment(payment=reviewed, amount=usd(900), reason="asked", actor=None, at=NOON),
    )

    assert errors == []
    assert reviewed.reload().refundable == usd(0)
    assert (reviewed.refunds.get().amount_minor, wallet_balance(sale.organization)) == (900, 0)
    assert broken_rules() == {}
