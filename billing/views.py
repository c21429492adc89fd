"""The customer's pages of invoices."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing import queries

PER_PAGE = 50


@login_required
@require_safe
def invoices(request: HttpRequest) -> HttpResponse:
    """The current organization's issued invoices, newest first, and its credit."""
    rows = queries.invoices_of(request.organization)  # type: ignore[attr-defined]
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    credit = queries.credit_of(request.organization)  # type: ignore[attr-defined]
    context = {"invoices": page.object_list, "page_obj": page, "credit": credit}
    return render(request, "billing/invoices.html", context)


@login_required
@require_safe
def invoice(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One invoice, to read and to print."""
    row = queries.invoice_for_page().filter(pk=pk).first()
    if row is None:
        raise Http404
    return render(request, "billing/invoice.html", {"invoice": row, "items": row.items.all()})
