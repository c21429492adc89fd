"""Invoices: written by services, never changed once issued."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import invoicing
from billing.documents.document import Document, of_credit_note, of_invoice
from billing.models import (
    CreditNote,
    DocumentKind,
    Invoice,
    InvoiceItem,
    InvoiceSeries,
    InvoiceTax,
    Payment,
    PaymentAllocation,
)
from billing.views import pdf_response
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, ReadOnlyInline, ReasonForm, StaffAction


class InvoiceItemInline(ReadOnlyInline):
    """An invoice's lines."""

    model = InvoiceItem
    columns = ("kind", "description", "quantity", "unit_minor", "amount_minor", "period_start", "period_end")
    has_link = False


class InvoiceTaxInline(ReadOnlyInline):
    """An invoice's tax, by rate and jurisdiction."""

    model = InvoiceTax
    columns = ("name", "category", "jurisdiction", "rate", "net_minor", "tax_minor")
    has_link = False


class AllocationInline(ReadOnlyInline):
    """What paid an invoice."""

    model = PaymentAllocation
    columns = ("at", "payment", "amount_minor")
    related = ("payment",)


class PaymentInline(ReadOnlyInline):
    """The payments that were asked for an invoice."""

    model = Payment
    columns = ("gateway", "state", "amount_minor", "received_minor", "refunded_minor", "method_label", "settled_at")


class CreditNoteInline(ReadOnlyInline):
    """The credit notes of an invoice."""

    model = CreditNote
    columns = ("number", "issued_at", "reason", "net_minor", "tax_minor", "total_minor", "voided_at")


def void(invoice: Invoice, context: ActionContext) -> str:
    """Void an issued invoice that nobody paid."""
    try:
        is_void = invoicing.void_invoice(
            invoice=invoice, reason=context.data["reason"], actor=context.user, at=context.at
        )
    except invoicing.NotVoidable:
        raise ActionError(_("A payment for this invoice has arrived or is on its way.")) from None
    if not is_void:
        return _("The payment page of this invoice is being closed. Void the invoice again in a minute.")
    return _("Invoice %(invoice)s is void.") % {"invoice": invoice}


class PdfMixin:
    """The page of a numbered document links to its file."""

    def document_of(self, row: Any) -> Document:
        """What the file says."""
        raise NotImplementedError

    def get_urls(self) -> list[Any]:
        """The file's address beside the page's."""
        options = self.model._meta  # type: ignore[attr-defined]
        name = f"{options.app_label}_{options.model_name}_pdf"
        return [
            path("<uuid:object_id>/pdf/", self.admin_site.admin_view(self.pdf), name=name),  # type: ignore[attr-defined]
            *super().get_urls(),  # type: ignore[misc]
        ]

    def pdf(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """The document as the customer gets it."""
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        row = get_object_or_404(self.model, pk=object_id, number__isnull=False)  # type: ignore[attr-defined]
        return pdf_response(self.document_of(row))

    @admin.display(description=gettext_lazy("PDF"))
    def file(self, row: Any) -> str:
        """A link to the file; a draft has none."""
        if not row.number:
            return "–"
        url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_pdf", args=[row.pk])
        return format_html('<a class="text-link" href="{}">{}</a>', url, _("Download PDF"))


@admin.register(Invoice)
class InvoiceAdmin(PdfMixin, ReadOnlyAdmin):
    """What an organization owes."""

    list_display = ("__str__", "organization", "state", "total_minor", "issued_at", "due_at", "paid_at")
    list_filter = ("state", "currency", "series")
    list_select_related = ("organization",)
    search_fields = ("number", "organization__name", "organization__billing_email")
    date_hierarchy = "created_at"
    sections = (
        (None, ("number", "organization", "state", "issued_at", "due_at", "paid_at", "voided_at", "file")),
        (gettext_lazy("Money"), ("net_minor", "tax_minor", "total_minor", "is_tax_inclusive")),
        (gettext_lazy("As printed"), ("seller", "billing_address")),
        (gettext_lazy("History"), ("id", "series", "place_evidence", "created_at", "updated_at")),
    )
    inlines = (InvoiceItemInline, InvoiceTaxInline, AllocationInline, CreditNoteInline, PaymentInline)
    staff_actions = (
        StaffAction(
            "void",
            gettext_lazy("Void"),
            void,
            permissions=("billing.change_invoice",),
            form=ReasonForm,
            description=gettext_lazy(
                "Nothing is owed for it any more, and its periods can be billed again. It keeps its number."
            ),
            is_available=lambda row: row.state in invoicing.VOIDABLE,
            icon="block",
            is_destructive=True,
        ),
    )

    def document_of(self, row: Invoice) -> Document:
        """The invoice's."""
        return of_invoice(row)


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

    list_display = ("invoice", "organization", "name", "category", "jurisdiction", "rate", "net_minor", "tax_minor")
    list_filter = ("category", "jurisdiction", "name", "currency")
    list_select_related = ("invoice", "organization")
    search_fields = ("invoice__number", "organization__name")


def use(series: InvoiceSeries, context: ActionContext) -> str:
    """Number new invoices in this series."""
    invoicing.use_series(series=series, actor=context.user)
    return _("New invoices are numbered in %(series)s.") % {"series": series.code}


@admin.register(InvoiceSeries)
class InvoiceSeriesAdmin(ReadOnlyAdmin):
    """Series of numbers, each with its seller. How numbers are written is chosen once, so that none is given twice."""

    list_display = ("code", "document", "is_default", "seller", "prefix", "restarts_yearly", "year", "next_number")
    list_filter = ("document",)
    editable = (
        *("seller", "seller_address", "seller_postal_code", "seller_city", "seller_country"),
        *("seller_tax_id", "seller_registration", "seller_note"),
    )
    addable = ("code", "document", "credit_note_series", "prefix", "width", "restarts_yearly", *editable)
    staff_actions = (
        StaffAction(
            "use",
            gettext_lazy("Use for new invoices"),
            use,
            permissions=("billing.change_invoiceseries",),
            description=gettext_lazy("Invoices drafted from now on are numbered in this series, and name its seller."),
            is_available=lambda row: row.document == DocumentKind.INVOICE and not row.is_default,
            icon="receipt_long",
        ),
    )


@admin.register(CreditNote)
class CreditNoteAdmin(PdfMixin, ReadOnlyAdmin):
    """What was credited of invoices."""

    list_display = ("__str__", "organization", "invoice", "total_minor", "reason", "issued_at", "voided_at")
    list_filter = ("currency", "series", ("voided_at", admin.EmptyFieldListFilter))
    list_select_related = ("organization", "invoice")
    search_fields = ("number", "invoice__number", "organization__name")
    date_hierarchy = "issued_at"
    ordering = ("-issued_at",)
    sections = (
        (None, ("number", "invoice", "organization", "reason", "issued_at", "voided_at", "file")),
        (gettext_lazy("Money"), ("net_minor", "tax_minor", "total_minor")),
        (gettext_lazy("As printed"), ("seller", "billing_address")),
        (gettext_lazy("History"), ("id", "series", "created_at", "updated_at")),
    )

    def document_of(self, row: CreditNote) -> Document:
        """The credit note's."""
        return of_credit_note(row)
