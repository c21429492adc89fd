"""Tax of an invoice: net and tax are its total, its tax lines are its tax, and they are frozen with it."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from billing import invoicing, ledger
from billing.models import AccountKind, EntryKind, Invoice, InvoiceState, InvoiceTax
from core import tenancy
from core.money import Money
from tests.billing.sales import NOON, balance, make_draft, run_commit_triggers

pytestmark = pytest.mark.django_db


def add_tax(draft: Invoice, **changes: Any) -> InvoiceTax:
    """A tax line of 19 % on the whole draft."""
    line = {"name": "VAT", "jurisdiction": "DE", "rate": Decimal(19), "net_minor": 800, "tax_minor": 152}
    return InvoiceTax.objects.create(
        invoice=draft, organization=draft.organization, currency=draft.currency, **(line | changes)
    )


def make_taxed_draft() -> Invoice:
    """A draft of $8.00 with a tax of $1.52."""
    draft = make_draft(800)
    Invoice.objects.filter(pk=draft.pk).update(tax_minor=152, total_minor=952)
    add_tax(draft)
    return draft.reload()


@pytest.mark.parametrize(
    "change",
    ["tax_minor = 1", "total_minor = 801", "net_minor = 799", "tax_minor = -1, total_minor = 799"],
)
def test_net_and_tax_that_are_not_the_total_are_refused(change: str) -> None:
    make_draft(800)
    with (
        pytest.raises(IntegrityError, match="billing_invoice_"),
        tenancy.as_role(role=tenancy.WORKER),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE billing_invoice SET {change}")


@pytest.mark.parametrize("tax_minor", [151, 0])
def test_tax_lines_that_are_not_the_tax_are_refused_at_commit(tax_minor: int) -> None:
    draft = make_taxed_draft()
    draft.taxes.update(tax_minor=tax_minor)
    invoicing.issue_invoice(invoice=draft, at=NOON)
    with pytest.raises(IntegrityError, match="and a tax of 152"):
        run_commit_triggers()


def test_the_tax_lines_of_an_issued_invoice_are_frozen() -> None:
    draft = make_taxed_draft()
    invoicing.issue_invoice(invoice=draft, at=NOON)
    run_commit_triggers()
    for change in (
        lambda: draft.taxes.all().delete(),
        lambda: draft.taxes.update(rate=20),
        lambda: add_tax(draft, tax_minor=0),
    ):
        with pytest.raises(IntegrityError, match="do not change"), transaction.atomic():
            change()


def test_the_tax_of_a_paid_invoice_is_not_revenue() -> None:
    draft = make_taxed_draft()
    clearing = ledger.account_of(AccountKind.CLEARING, "USD", "stripe")
    lines = ledger.transfer(clearing, ledger.wallet_of(draft.organization, "USD"), Money(952, "USD"))
    owner = draft.organization
    ledger.post_entry(kind=EntryKind.PAYMENT, reference="credit", lines=lines, organization=owner, at=NOON)

    paid = invoicing.pay_from_wallet(invoice=draft, at=NOON)
    run_commit_triggers()

    assert paid.state == InvoiceState.PAID
    assert {kind: balance(kind) for kind in (AccountKind.WALLET, AccountKind.REVENUE, AccountKind.TAX)} == {
        AccountKind.WALLET: 0,
        AccountKind.REVENUE: 800,
        AccountKind.TAX: 152,
    }


def test_the_page_shows_subtotal_tax_and_total(client: Client) -> None:
    draft = make_taxed_draft()
    invoicing.issue_invoice(invoice=draft, at=NOON)
    run_commit_triggers()
    owner = draft.organization.owner
    client.force_login(owner)

    page = " ".join(client.get(f"/invoices/{draft.pk}/").content.decode().split())

    for text in ("Subtotal", "$8.00", "VAT 19%", "DE, on $8.00", "$1.52", "Total", "$9.52"):
        assert text in page
