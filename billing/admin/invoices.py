"""Invoices: written by services, never changed once issued."""

from django.contrib import admin

from billing.models import Invoice, InvoiceItem, InvoiceSeries, InvoiceTax, Payment
from core.admin_base import ReadOnlyAdmin, ReadOnlyInline


class InvoiceItemInline(ReadOnlyInline):
    """An invoice's lines."""

    model = InvoiceItem
    columns = ("kind", "description", "quantity", "unit_minor", "amount_minor", "period_start", "period_end")
    has_link = False


class InvoiceTaxInline(ReadOnlyInline):
    """An invoice's tax, by rate and jurisdiction."""

    model = InvoiceTax
    columns = ("name", "jurisdiction", "rate", "net_minor", "tax_minor")
    has_link = False


class PaymentInline(ReadOnlyInline):
    """The payments of an invoice."""

    model = Payment
    columns = ("gateway", "state", "amount_minor", "received_minor", "refunded_minor", "method_label", "settled_at")


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin):
    """What an organization owes."""

    list_display = ("__str__", "organization", "state", "total_minor", "issued_at", "due_at", "paid_at")
    list_filter = ("state", "currency", "series")
    list_select_related = ("organization",)
    search_fields = ("number", "organization__name", "organization__billing_email")
    date_hierarchy = "created_at"
    inlines = (InvoiceItemInline, InvoiceTaxInline, PaymentInline)


@admin.register(InvoiceItem)
class InvoiceItemAdmin(ReadOnlyAdmin):
    """Lines of every invoice."""

    list_display = ("invoice", "organization", "kind", "description", "quantity", "amount_minor", "period_start")
    list_filter = ("kind", "currency")
    list_select_related = ("invoice", "organization")
    search_fields = ("description", "invoice__number", "organization__name")
    date_hierarchy = "period_start"


@admin.register(InvoiceTax)
class InvoiceTaxAdmin(ReadOnlyAdmin):
    """Tax of every invoice."""

    list_display = ("invoice", "organization", "name", "jurisdiction", "rate", "net_minor", "tax_minor")
    list_filter = ("jurisdiction", "name", "currency")
    list_select_related = ("invoice", "organization")
    search_fields = ("invoice__number", "organization__name")


@admin.register(InvoiceSeries)
class InvoiceSeriesAdmin(ReadOnlyAdmin):
    """Series of invoice numbers."""

    list_display = ("code", "seller", "prefix", "restarts_yearly", "year", "next_number")
