"""Reads of money, under row-level security."""

from django.db import models

from accounts.models import Organization
from billing.models import Invoice, InvoiceItem, InvoiceState

DUE = [InvoiceState.OPEN, InvoiceState.OVERDUE]


def invoices_of(organization: Organization) -> "models.QuerySet[Invoice]":
    """The organization's issued invoices, newest first, with what the first line says as `summary`."""
    first = InvoiceItem.objects.filter(invoice=models.OuterRef("pk")).order_by("position").values("description")[:1]
    return (
        Invoice.objects.filter(organization=organization, number__isnull=False)
        .annotate(summary=models.Subquery(first))
        .order_by("-issued_at", "-number")
        .fetch_mode(models.FETCH_RAISE)
    )


def invoices_due(organization: Organization) -> "models.QuerySet[Invoice]":
    """What the organization has to pay, the most urgent first."""
    return invoices_of(organization).filter(state__in=DUE).order_by("due_at")


def invoice_for_page() -> "models.QuerySet[Invoice]":
    """Issued invoices with their lines."""
    return (
        Invoice.objects.filter(number__isnull=False)
        .select_related("organization")
        .prefetch_related("items")
        .fetch_mode(models.FETCH_RAISE)
    )
