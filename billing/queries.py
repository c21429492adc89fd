"""Reads of invoices and payments, under row-level security."""

from collections.abc import Iterable

from django.db import models

from accounts.models import Organization
from billing.models import Invoice, InvoiceItem, InvoiceState, Payment

SHOWN = (InvoiceState.OPEN, InvoiceState.OVERDUE, InvoiceState.PAID, InvoiceState.REFUNDED, InvoiceState.VOID)
DUE = (InvoiceState.OPEN, InvoiceState.OVERDUE)


def invoices_of(organizations: Iterable[Organization] | Organization) -> "models.QuerySet[Invoice]":
    """Issued invoices, newest first, with their first line as `summary`; drafts are nobody's business yet."""
    own = [organizations] if isinstance(organizations, Organization) else list(organizations)
    first = InvoiceItem.objects.filter(invoice=models.OuterRef("pk")).order_by("position").values("description")[:1]
    return (
        Invoice.objects.filter(organization__in=own, state__in=SHOWN)
        .annotate(summary=models.Subquery(first))
        .fetch_mode(models.FETCH_RAISE)
        .order_by("-issued_at")
    )


def invoices_due(organization: Organization) -> "models.QuerySet[Invoice]":
    """Issued invoices that wait for money, the oldest first."""
    return invoices_of(organization).filter(state__in=DUE).order_by("issued_at")


def invoice_for_page() -> "models.QuerySet[Invoice]":
    """Issued invoices with lines and payments, for the page of one."""
    payments = models.Prefetch("payments", queryset=Payment.objects.filter(state__in=Payment.RECEIVED))
    return (
        Invoice.objects.filter(state__in=SHOWN)
        .select_related("organization")
        .prefetch_related("items", payments)
        .fetch_mode(models.FETCH_RAISE)
    )
