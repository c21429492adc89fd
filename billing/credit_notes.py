"""Credit notes: each part of an invoice that went back has one, which is void when its money comes back."""

from collections.abc import Collection
from datetime import datetime
from typing import cast

from django.db.models import Exists, OuterRef, Sum
from django.db.models.functions import Coalesce

from billing import ledger
from billing.ledger import EntryLine
from billing.models import AccountKind, AllocationReversal, CreditNote, EntryKind, Invoice, RefundState
from core import audit, tenancy
from core.money import Money, payable_step


def issue_credit_notes(*, invoice: Invoice, reason: str, at: datetime) -> list[CreditNote]:
    """One for each part of an issued invoice that has gone back, and has none. Calling it twice is harmless.

    What a pending refund takes may still fail. The database gives the numbers when the transaction commits, as for
    invoices.
    """
    with tenancy.as_worker():
        rows = Invoice.objects.select_for_update(no_key=True, of=("self",)).select_related("series")
        row = rows.get(pk=invoice.pk)
        gone = AllocationReversal.objects.filter(allocation__invoice=row, undone_at=None).exclude(
            refund__state=RefundState.PENDING
        )
        has_note = Exists(CreditNote.objects.filter(reversal=OuterRef("pk")))
        return [issue_one(row, reversal, reason, at) for reversal in gone.filter(~has_note).order_by("at", "pk")]


def issue_one(row: Invoice, reversal: AllocationReversal, reason: str, at: datetime) -> CreditNote:
    """The credit note over what went back, and the tax within it, which is owed no longer. The invoice is locked."""
    tax_minor = tax_within(row, reversal.amount_minor)
    note = CreditNote.objects.create(
        organization_id=row.organization_id,
        invoice=row,
        reversal=reversal,
        series_id=cast("str", row.series.credit_note_series_id),
        reason=reason[:191],
        currency=row.currency,
        net_minor=reversal.amount_minor - tax_minor,
        tax_minor=tax_minor,
        total_minor=reversal.amount_minor,
        seller=row.seller,
        billing_address=row.billing_address,
        issued_at=at,
    )
    post_tax(note, EntryKind.TAX_CREDITED, -Money(tax_minor, row.currency), at)
    return note


def tax_within(row: Invoice, amount_minor: int) -> int:
    """The tax in a part of an invoice's total: together with what is credited already, its share rounded once.

    So the credit notes of all of an invoice have all of its tax.
    """
    in_force = row.credit_notes.filter(voided_at=None)
    credited = in_force.aggregate(net=Coalesce(Sum("net_minor"), 0), tax=Coalesce(Sum("tax_minor"), 0))
    net_left, tax_left = row.net_minor - credited["net"], row.tax_minor - credited["tax"]
    step = payable_step(row.currency).minor
    parts = row.tax_minor * (credited["net"] + credited["tax"] + amount_minor)
    share = (2 * parts + row.total_minor * step) // (2 * row.total_minor * step) * step - credited["tax"]
    return int(max(min(share, tax_left, amount_minor), 0, amount_minor - net_left))


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


def void_credit_notes(*, of: Collection[AllocationReversal], reason: str, actor: object, at: datetime) -> None:
    """Void those over what is paid again: the documents keep their numbers. The caller holds their invoices' locks."""
    with tenancy.as_worker():
        for note in CreditNote.objects.filter(reversal__in=of, voided_at=None).order_by("pk"):
            note.voided_at = at
            note.save(update_fields=["voided_at"])
            post_tax(note, EntryKind.TAX_RESTORED, Money(note.tax_minor, note.currency), at)
            audit.record(action="creditnote.void", entity=note, actor=actor, new={"reason": reason}, at=at)
