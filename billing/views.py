"""The customer's pages of invoices."""

import re
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.permissions import Access, Action
from billing import payments, queries
from billing.documents import pdf
from billing.documents.document import Document, of_credit_note, of_invoice
from billing.models import InvoiceState
from core import clock
from core.pages import paged

PER_PAGE = 50
_invoices = paged(queries.invoices_of, PER_PAGE)


@login_required
@require_safe
def invoices(request: HttpRequest) -> HttpResponse:
    """The current organization's issued invoices, newest first, and its credit."""
    access: Access = request.access  # type: ignore[attr-defined]
    if not access.may(Action.INVOICE_VIEW, request.organization):  # type: ignore[attr-defined]
        raise Http404
    page = _invoices(request.GET.get("page"), access, request.organization)  # type: ignore[attr-defined]
    credit = queries.credit_of(request.organization)  # type: ignore[attr-defined]
    due = queries.due_of(request.organization)  # type: ignore[attr-defined]
    context = {"invoices": page.object_list, "page_obj": page, "credit": credit, "due": due}
    return render(request, "billing/invoices.html", context)


@login_required
@require_safe
def invoice(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One invoice, to read and to print."""
    invoices = queries.invoices_for(request.access, Action.INVOICE_VIEW)  # type: ignore[attr-defined]
    row = get_object_or_404(queries.invoice_for_page(invoices), pk=pk)
    context: dict[str, Any] = {"invoice": row, "items": row.items.all()}
    if row.state == InvoiceState.VOID:
        context["payment"] = queries.payment_under_way_of(row)
    elif row.state in queries.DUE:
        payment = queries.payment_under_way_of(row)
        context |= {"payment": payment, "at": clock.now(), "is_withdrawn": payments.is_withdrawn(row)}
        if not context["is_withdrawn"] and (payment is None or payment.waits_for_owner):
            context["pay_url"] = reverse("billing:pay", kwargs={"pk": pk})
            context["declined"] = None if payment else queries.last_decline_of(row)
    return render(request, "billing/invoice.html", context)


@login_required
@require_safe
def invoice_pdf(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One invoice as a file."""
    invoices = queries.invoices_for(request.access, Action.INVOICE_VIEW)  # type: ignore[attr-defined]
    rows = invoices.filter(number__isnull=False).prefetch_related("items", "taxes")
    return pdf_response(of_invoice(get_object_or_404(rows, pk=pk)))


@login_required
@require_safe
def credit_note_pdf(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One credit note as a file."""
    notes = queries.credit_notes_for(request.access, Action.INVOICE_VIEW)  # type: ignore[attr-defined]
    return pdf_response(of_credit_note(get_object_or_404(notes, pk=pk)))


def pdf_response(document: Document) -> HttpResponse:
    """The document as a download."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", document.number)
    headers = {"Content-Disposition": f'attachment; filename="{name}.pdf"'}
    return HttpResponse(pdf.pdf_of(document), content_type="application/pdf", headers=headers)
