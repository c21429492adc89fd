"""Bank transfers: the page with the reference, staff who say what arrived, and statements that are matched."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing import invoice_payment, invoicing, payment_sync, statements, transfers
from billing.checkout_options import CheckoutOption
from billing.ledger_audit import broken_rules
from billing.models import (
    BankTransfer,
    GatewayAccount,
    InvoiceState,
    LineState,
    Payment,
    PaymentState,
    StatementLine,
)
from core.models import AuditEntry
from core.money import Money
from orders.models import OrderStatus
from sandbox.client import Sandbox
from servers.models import Reservation, ReservationState
from tests.billing.sales import Sale, make_sale, wallet_balance
from tests.builders import make_staff
from tests.shop import create_session, make_shop, place_order
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
DETAILS = {"account_holder": "NodeByte GmbH", "account_number": "DE02120300000000202051", "bank_code": "BYLADEM1001"}


@pytest.fixture
def account(transactional_db: None) -> GatewayAccount:
    """A bank account that takes euro."""
    GatewayAccount.objects.filter(code="stripe").update(currencies=["USD"])
    return GatewayAccount.objects.create(
        code="bank", kind="transfer", name="Bank transfer", credentials=DETAILS, currencies=["EUR"], is_live=True
    )


def make_transfer(account: GatewayAccount, minor: int = 1250) -> tuple[Sale, BankTransfer]:
    sale = make_sale(minor=minor, currency="EUR", gateway=account.code, is_auto_renewed=False, at=timezone.now())
    assert f"/transfers/{sale.payment.pk}/" in sale.create_session()
    return sale, BankTransfer.objects.get(payment=sale.payment)


def csv_of(*rows: tuple[str, str]) -> str:
    """A German bank's statement of (amount, text)."""
    lines = [f"22.11.2026;{amount};{text};Ada Lovelace" for amount, text in rows]
    return "\n".join(["\ufeffBuchungstag;Betrag;Verwendungszweck;Name", *lines])


def upload(account: GatewayAccount, content: str) -> transfers.ImportResult:
    lines = statements.parse_statement(content, currency="EUR", date_format="%d.%m.%Y")
    return transfers.import_statement(account=account, lines=lines, actor=None, at=timezone.now())


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1.234,56", "EUR", 123456),
        ("1,234.56", "USD", 123456),
        ("150.000", "IDR", 150_000_00),
        ("+12,5", "EUR", 1250),
        ("-12.50", "EUR", -1250),
        ("1 250", "JPY", 1250),
        ("1.250", "KWD", 1250),
    ],
)
def test_amounts_are_read_as_banks_write_them(text: str, currency: str, minor: int) -> None:
    assert statements.parse_amount(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("Date;Amount\n2026-11-22;1", "no column for: text"),
        ("Date;Amount;Text\n22.11.2026;ten;x", "Line 2 cannot be read"),
        ("Date;Amount;Text\nyesterday;1,00;x", "Line 2 cannot be read"),
    ],
)
def test_a_statement_that_cannot_be_read_says_where(content: str, reason: str) -> None:
    with pytest.raises(statements.StatementError, match=reason):
        statements.parse_statement(content, currency="EUR", date_format="%d.%m.%Y")


def test_a_line_with_the_reference_and_the_amount_pays_and_the_same_file_again_changes_nothing(
    account: GatewayAccount,
) -> None:
    sale, transfer = make_transfer(account)
    spaced = f"Rechnung {transfer.reference[:5].lower()} {transfer.reference[5:]} danke"
    content = csv_of(("12,50", spaced), ("-4,00", "fee"), ("9,99", "somebody"), ("9,99", "somebody"))

    assert upload(account, content) == transfers.ImportResult(booked=1, review=2, known=0)
    assert upload(account, content) == transfers.ImportResult(booked=0, review=0, known=3)

    assert sale.payment.reload().state == PaymentState.SUCCEEDED
    assert sale.invoice.reload().state == InvoiceState.PAID
    assert StatementLine.objects.count() == 3
    assert broken_rules() == {}


def test_equal_transfers_of_two_statements_are_both_found_and_those_of_one_file_once(account: GatewayAccount) -> None:
    def lines_of(*rows: tuple[int, str]) -> str:
        lines = [f"{day}.11.2026;12,50;{text};Ada Lovelace" for day, text in rows]
        return "\n".join(["Buchungstag;Betrag;Verwendungszweck;Name", *lines])

    first, later = lines_of((20, "rent"), (21, "rent")), lines_of((21, "rent"), (21, "rent"), (22, "rent"))
    both = lines_of((20, "rent"), (21, "rent"), (21, "rent"), (21, "rent"), (22, "rent"), (23, "rent"))
    assert upload(account, first).review == 2
    assert upload(account, later).review == 3  # the bank wrote another file for the rest of the day
    assert StatementLine.objects.filter(booked_on__day=21, note__contains="twice").count() == 2
    for again in (first, later, first):
        assert upload(account, again).review == 0
    assert upload(account, both).review == 1  # of the 23rd: it has the other days whole
    assert upload(account, lines_of((21, "rent"), (22, "rent"))).review == 0  # a day that an earlier one went on after


def test_what_does_not_match_exactly_waits_for_staff_with_the_reason(account: GatewayAccount) -> None:
    (first, one), (second, two) = make_transfer(account), make_transfer(account)
    content = csv_of(("25,00", f"{one.reference} and {two.reference}"), ("12,49", one.reference), ("12,50", "thanks"))

    assert upload(account, content) == transfers.ImportResult(booked=0, review=3, known=0)

    notes = sorted(StatementLine.objects.values_list("note", flat=True))
    assert [note.partition(" ")[0] for note in notes] == sorted(["It", "It", one.reference])
    assert any("several payments" in note and one.reference in note and two.reference in note for note in notes)
    assert any("asks for €12.50, and €12.49 arrived" in note for note in notes)
    assert {first.payment.reload().state, second.payment.reload().state} == {PaymentState.PENDING}

    line = StatementLine.objects.get(amount_minor=1249)
    transfers.assign_line(line=line, reference=one.reference, actor=None, at=timezone.now())
    assert first.payment.reload().state == PaymentState.UNDER_REVIEW
    with pytest.raises(transfers.NotBookable, match="booked already"):
        transfers.assign_line(line=line, reference=two.reference, actor=None, at=timezone.now())


def test_two_imports_of_one_file_at_once_book_it_once(account: GatewayAccount) -> None:
    sale, transfer = make_transfer(account)
    content = csv_of(("12,50", transfer.reference))

    assert run_at_once(lambda: upload(account, content), times=3) == []

    assert StatementLine.objects.get().state == LineState.BOOKED
    assert sale.payment.reload().received == Money(1250, "EUR")
    assert Payment.objects.count() == 1


def test_a_second_transfer_for_a_paid_invoice_is_reviewed_and_becomes_credit(account: GatewayAccount) -> None:
    sale, transfer = make_transfer(account)
    upload(account, csv_of(("12,50", transfer.reference), ("12,50", transfer.reference)))
    line = StatementLine.objects.get(state=LineState.REVIEW)
    assert line.note == f"{transfer.reference} is paid already."

    transfers.assign_line(line=line, reference=transfer.reference, actor=None, at=timezone.now())

    assert wallet_balance(sale.organization, "EUR") == 1250
    assert broken_rules() == {}


def test_money_that_arrives_after_the_days_pays_nevertheless(account: GatewayAccount) -> None:
    sale, transfer = make_transfer(account)
    BankTransfer.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    payment_sync.sync_payment(payment_id=sale.payment.pk, at=timezone.now() + timedelta(days=8))
    assert sale.payment.reload().state == PaymentState.EXPIRED

    upload(account, csv_of(("12,50", transfer.reference)))

    assert sale.invoice.reload().state == InvoiceState.PAID


def post(client: Client, path: str, **data: Any) -> Any:
    return client.post(f"/admin/billing/{path}/", {"_form_submitted": "True", **data})


def test_who_chose_a_transfer_can_pay_otherwise_with_one_transfer_open_and_the_first_is_still_booked(
    account: GatewayAccount,
) -> None:
    other = GatewayAccount.objects.create(
        code="other", kind="transfer", name="Other bank", credentials=DETAILS, currencies=["EUR"], is_live=True
    )
    sale, first = make_transfer(account)
    invoicing.issue_invoice(invoice=sale.invoice, at=timezone.now())
    asked = sale.payment.amount

    for _ in range(2):  # the same way again is the same payment
        payment = invoice_payment.open_payment(
            invoice=sale.invoice,
            option=CheckoutOption(other.code, "", other.name, asked),
            at_most=Money(0, "EUR"),
            at=timezone.now(),
        )
        assert payment is not None
        assert f"/transfers/{payment.pk}/" in replace(sale, payment=payment).create_session()

    assert (sale.payment.reload().state, first.reload().closed_at is None) == (PaymentState.EXPIRED, False)
    assert BankTransfer.objects.get(closed_at=None).payment == payment
    upload(account, csv_of(("12,50", first.reference)))
    assert (sale.invoice.reload().state, sale.payment.reload().state) == (InvoiceState.PAID, PaymentState.SUCCEEDED)
    payment_sync.poll_open_payments(at=timezone.now())
    assert not BankTransfer.objects.filter(closed_at=None).exclude(pk=first.pk).exists()


def test_staff_say_that_the_money_arrived_once(account: GatewayAccount, client: Client) -> None:
    sale, transfer = make_transfer(account)
    client.force_login(make_staff(is_superuser=True))
    seen = {"amount": "12.50", "booked_on": timezone.now().date().isoformat()}

    for _press in range(2):
        post(client, f"banktransfer/{transfer.pk}/record-arrival", **seen)

    assert sale.payment.reload().state == PaymentState.SUCCEEDED
    assert StatementLine.objects.get().transfer == transfer
    assert AuditEntry.objects.get(action="statement_line.book").actor is not None


def test_staff_import_a_statement_and_set_a_line_aside(account: GatewayAccount, client: Client) -> None:
    sale, transfer = make_transfer(account)
    client.force_login(make_staff(is_superuser=True))
    fields = {"account": account.pk, "currency": "eur", "date_format": "%d.%m.%Y"}
    bad = post(client, "statementline/import-statement", statement="Date;Sum", **fields)
    assert bad.status_code == 422
    assert "names no column" in str(bad.context["form"].errors["statement"])

    content = csv_of(("12,50", transfer.reference), ("3,00", "a gift"))
    post(client, "statementline/import-statement", statement=content, **fields)
    assert sale.invoice.reload().state == InvoiceState.PAID
    line = StatementLine.objects.get(state=LineState.REVIEW)
    post(client, f"statementline/{line.pk}/ignore", reason="not ours")

    line = line.reload()
    assert (line.state, line.note) == (LineState.IGNORED, "not ours")


def test_the_page_shows_what_to_transfer_and_the_server_stays_reserved(
    account: GatewayAccount, sandbox: Sandbox, client: Client
) -> None:
    shop = make_shop(sandbox, minor=1250, currency="EUR")
    shop.organization.currency = "EUR"
    shop.organization.save()
    at = timezone.now()
    order = place_order(shop, at=at)
    create_session(order, at=at)
    transfer = BankTransfer.objects.get()
    client.force_login(shop.customer)

    page = client.get(f"/transfers/{transfer.payment_id}/").content.decode()

    for text in (*DETAILS.values(), transfer.reference, "€12.50"):
        assert f'data-copy="{text}"' in page
    reserved = Reservation.objects.get(state=ReservationState.RESERVED)
    assert reserved.expires_at is not None
    assert reserved.expires_at > at + timedelta(days=7)

    upload(account, csv_of(("12,50", transfer.reference)))
    assert order.reload().status in {OrderStatus.PAID, OrderStatus.PROVISIONING}
    assert "has arrived" in client.get(f"/transfers/{transfer.payment_id}/").content.decode()
