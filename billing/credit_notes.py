"""Credit notes: issued when an invoice is refunded."""

from datetime import datetime
from typing import cast

from django.db.models import Sum
from django.db.models.functions import Coalesce

from billing.models import CreditNote, Invoice
from core import tenancy


def issue_credit_note(*, invoice: Invoice, reason: str, at: datetime) -> CreditNote | None:
    """Credit all of an issued invoice that no credit note has credited yet; None when nothing is left of it.

    The database gives the number when the transaction commits, as for an invoice.
    """
    with tenancy.as_worker():
        rows = Invoice.objects.select_for_update(no_key=True, of=("self",)).select_related("series")
        row = rows.get(pk=invoice.pk)
        credited = row.credit_notes.aggregate(net=Coalesce(Sum("net_minor"), 0), tax=Coalesce(Sum("tax_minor"), 0))
        net_minor, tax_minor = row.net_minor - credited["net"], row.tax_minor - credited["tax"]
        if not net_minor + tax_minor:
            return None
        return CreditNote.objects.create(
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
