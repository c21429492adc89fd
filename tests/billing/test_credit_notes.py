"""Credit notes: one for each part of an invoice that went back, in their own series, never more than the invoice."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone

from billing import credit_notes, invoicing, refunds
from billing.documents.document import of_credit_note
from billing.gateways.base import GatewayRefund, RefundStatus
from billing.ledger_audit import broken_rules
from billing.models import AccountKind, CreditNote, Invoice, InvoiceState
from billing.reports.base import rows_of
from billing.reports.books import TAX
from core import tenancy
from tests.billing.sales import NOON, Sale, balance, make_draft, make_sale, report_refund, run_commit_triggers
from tests.billing.sales import refund as refund_part
from tests.billing.test_tax import set_up_shop
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db


def refund(sale: Sale, status: RefundStatus = RefundStatus.SUCCEEDED, reference: str = "re_1") -> None:
    """All of the sale's payment goes back, or the refund fails."""
    report = GatewayRefund(
        reference=reference,
        amount=sale.payment.amount,
        status=status,
        transaction_id=f"pi_{sale.payment.pk}",
    )
    refunds.record_refund(payment_id=sale.payment.pk, gateway_refund=report, at=NOON)
    run_commit_triggers()


def credited() -> CreditNote:
    """The credit note of a sale that was refunded."""
    sale = make_sale()
    sale.settle()
    refund(sale)
    return CreditNote.objects.get()


def test_a_refunded_invoice_has_a_credit_note_of_its_own_series() -> None:
    sale = make_sale(setup_minor=300)
    sale.settle()
    refund(sale)

    note = CreditNote.objects.get()
    invoice = sale.invoice.reload()
    assert invoice.state == InvoiceState.REFUNDED
    assert (note.number, note.sequence, note.invoice) == ("NB-CN-2026-00001", 1, invoice)
    assert (note.net_minor, note.tax_minor, note.total_minor) == (1100, 0, 1100)
    assert (note.seller, note.billing_address) == (invoice.seller, invoice.billing_address)


def test_a_refund_that_is_reported_again_credits_nothing_more() -> None:
    sale = make_sale()
    sale.settle()
    refund(sale)
    refund(sale)
    assert CreditNote.objects.count() == 1
    assert credit_notes.issue_credit_notes(invoice=sale.invoice, reason="again", at=NOON) == []


def test_the_credit_note_of_a_refund_that_fails_late_is_void_and_keeps_its_number() -> None:
    sale = make_sale()
    sale.settle()
    refund(sale)

    refund(sale, RefundStatus.FAILED)

    note = CreditNote.objects.get()
    assert (sale.invoice.reload().state, note.voided_at, note.number) == (InvoiceState.PAID, NOON, "NB-CN-2026-00001")
    refund(sale, reference="re_2")
    notes = CreditNote.objects.order_by("sequence")
    assert [(each.number, each.voided_at, each.total_minor) for each in notes] == [
        ("NB-CN-2026-00001", NOON, 800),
        ("NB-CN-2026-00002", None, 800),
    ]


@pytest.mark.parametrize("value", ["NULL", "now()"])
def test_a_void_credit_note_stays_void(value: str) -> None:
    note = credited()
    credit_notes.void_credit_notes(of=[note.reversal], reason="refund failed", actor=None, at=NOON)
    with (
        pytest.raises(IntegrityError, match="void for good"),
        tenancy.as_role(role=tenancy.WORKER),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE billing_creditnote SET voided_at = {value}")


def test_partial_refunds_have_credit_notes_and_give_back_all_of_the_tax_between_them() -> None:
    set_up_shop()
    sale = make_sale()
    payment = sale.settle()
    assert (payment.received_minor, balance(AccountKind.TAX)) == (952, 152)

    made = [refund_part(payment.reload(), minor) for minor in (100, 401, 451)]
    run_commit_triggers()

    notes = list(CreditNote.objects.order_by("sequence"))
    assert [(note.net_minor, note.tax_minor) for note in notes] == [(84, 16), (337, 64), (379, 72)]
    assert (balance(AccountKind.TAX), sale.invoice.reload().state) == (0, InvoiceState.REFUNDED)
    assert broken_rules() == {}
    document = of_credit_note(notes[0])
    assert (document.net.minor, document.tax.minor, document.total.minor) == (84, 16, 100)
    assert [(group.net.minor, group.amount.minor) for group in document.taxes] == [(84, 16)]
    report_refund(made[1], RefundStatus.FAILED)
    assert [note.reload().voided_at for note in notes] == [None, NOON, None]
    assert (balance(AccountKind.TAX), sale.invoice.reload().state) == (64, InvoiceState.PAID)
    assert broken_rules() == {}
    year = {"since": NOON - timedelta(days=60), "until": timezone.now() + timedelta(days=1)}
    assert sum(row["tax"] for row in rows_of(TAX, **year)) == 64


def test_the_tax_that_a_credit_note_takes_back_is_owed_no_longer_until_the_note_is_void() -> None:
    set_up_shop()
    sale = make_sale()
    sale.settle()

    def books() -> dict[AccountKind, int]:
        return {kind: balance(kind) for kind in (AccountKind.REVENUE, AccountKind.TAX, AccountKind.REFUNDS)}

    assert books() == {AccountKind.REVENUE: 800, AccountKind.TAX: 152, AccountKind.REFUNDS: 0}
    refund(sale)
    assert books() == {AccountKind.REVENUE: 800, AccountKind.TAX: 0, AccountKind.REFUNDS: -800}
    assert broken_rules() == {}
    refund(sale, RefundStatus.FAILED)
    assert books() == {AccountKind.REVENUE: 800, AccountKind.TAX: 152, AccountKind.REFUNDS: 0}
    assert broken_rules() == {}


def test_credit_notes_of_more_than_the_invoice_are_refused() -> None:
    note = credited()
    credit_notes.void_credit_notes(of=[note.reversal], reason="test", actor=None, at=NOON)
    with (
        pytest.raises(IntegrityError, match="more than invoice"),
        tenancy.as_role(role=tenancy.WORKER),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "INSERT INTO billing_creditnote (id, organization_id, invoice_id, reversal_id, series_id, reason, currency,"
            " net_minor, tax_minor, total_minor, seller, billing_address, issued_at)"
            " SELECT uuidv7(), organization_id, invoice_id, uuidv7(), series_id, '', 'USD', 801, 0, 801, '{}', '{}',"
            " now() FROM billing_creditnote"
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_creditnote SET reason = 'other'",
        "UPDATE billing_creditnote SET issued_at = now()",
        "UPDATE billing_creditnote SET number = 'NB-CN-2026-00009', sequence = 9",
        "DELETE FROM billing_creditnote",
        "UPDATE billing_creditnote SET voided_at = now(), total_minor = 1",
    ],
)
def test_a_credit_note_is_frozen(statement: str) -> None:
    credited()
    with (
        pytest.raises(IntegrityError, match=r"does not change|never deleted"),
        tenancy.as_role(role=tenancy.WORKER),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_a_series_of_credit_notes_numbers_no_invoice() -> None:
    draft = make_draft()
    Invoice.objects.filter(pk=draft.pk).update(series="NB-CN")
    invoicing.issue_invoice(invoice=draft, at=NOON)
    with pytest.raises(IntegrityError, match="does not number this kind"):
        run_commit_triggers()


@pytest.mark.django_db(transaction=True)
def test_four_who_report_the_same_refunds_at_once_write_one_note_each_without_a_gap() -> None:
    sales = [make_sale() for _ in range(6)]
    for sale in sales:
        sale.settle()

    def refund_all() -> None:
        for number, sale in enumerate(sales):
            gone = GatewayRefund(f"re_{number}", f"pi_{sale.payment.pk}", sale.payment.amount, RefundStatus.SUCCEEDED)
            refunds.record_refund(payment_id=sale.payment.pk, gateway_refund=gone, at=timezone.now())

    assert run_at_once(refund_all, times=4) == []

    notes = CreditNote.objects.order_by("sequence")
    assert [note.sequence for note in notes] == list(range(1, 7))
    assert list(notes.order_by("issued_at", "sequence")) == list(notes)


def test_the_page_of_a_refunded_invoice_names_its_credit_note(client: Client) -> None:
    sale = make_sale()
    sale.settle()
    refund(sale)
    owner = sale.organization.owner
    client.force_login(owner)
    page = " ".join(client.get(f"/invoices/{sale.invoice.pk}/").content.decode().split())
    assert "NB-CN-2026-00001" in page
    assert "Void since" not in page

    refund(sale, RefundStatus.FAILED)

    page = " ".join(client.get(f"/invoices/{sale.invoice.pk}/").content.decode().split())
    assert "Void since <time" in page
