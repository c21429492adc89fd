"""Credit notes: issued when an invoice is refunded, and void when its money comes back."""

from datetime import datetime
from typing import cast

from django.db.models import Sum
from django.db.models.functions import Coalesce

from billing import ledger
from billing.ledger import EntryLine
from billing.models import AccountKind, CreditNote, EntryKind, Invoice
from core import audit, tenancy
from core.money import Money


def issue_credit_note(*, invoice: Invoice, reason: str, at: datetime) -> CreditNote | None:
    """Credit all of an issued invoice that no credit note has credited yet; None when nothing is left of it.

    The database gives the number when the transaction commits, as for an invoice.
    """
    with tenancy.as_worker():
        rows = Invoice.objects.select_for_update(no_key=True, of=("self",)).select_related("series")
        row = rows.get(pk=invoice.pk)
        in_force = row.credit_notes.filter(voided_at=None)
        credited = in_force.aggregate(net=Coalesce(Sum("net_minor"), 0), tax=Coalesce(Sum("tax_minor"), 0))
        net_minor, tax_minor = row.net_minor - credited["net"], row.tax_minor - credited["tax"]
        if not net_minor + tax_minor:
            return None
        note = CreditNote.objects.create(
            organization_id=row.organization_id,
            invoice=row,
            series_id=cast("str", row.series.credit_note_series_id),
            reason=reason[:191],
            currency=row.currency,
            net_minor=net_minor,
            tax_minor=tax_minor,
            total_minor=net_minor + tax_minor,
            seller=row.seller,
            billing_address=row.billing_address,
            issued_at=at,
        )
        post_tax(note, EntryKind.TAX_CREDITED, -Money(tax_minor, row.currency), at)
        return note


def post_tax(note: CreditNote, kind: EntryKind, owed: Money, at: datetime) -> None:
    """Tax that a credit note takes back is owed to nobody, so of what was refunded only the net amount is ours."""
    if owed:
        tax, refunded = (ledger.account_of(each, owed.currency) for each in (AccountKind.TAX, AccountKind.REFUNDS))
        ledger.post_entry(
            kind=kind,
            reference=f"{kind}:{note.pk}",
            lines=[EntryLine(tax, owed), EntryLine(refunded, -owed)],
            organization=note.organization,
            source=note.invoice,
            at=at,
        )


def void_credit_notes(*, invoice: Invoice, reason: str, actor: object, at: datetime) -> None:
    """Void what was credited of an invoice that is paid again: the documents keep their numbers."""
    with tenancy.as_worker():
        for note in invoice.credit_notes.filter(voided_at=None).order_by("pk"):
            note.voided_at = at
            note.save(update_fields=["voided_at"])
            post_tax(note, EntryKind.TAX_RESTORED, Money(note.tax_minor, note.currency), at)
            audit.record(action="creditnote.void", entity=note, actor=actor, new={"reason": reason})
