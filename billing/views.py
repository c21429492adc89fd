"""The customer's invoices."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from billing import queries
from billing.models import Invoice


@login_required
@require_safe
def invoices(request: HttpRequest) -> HttpResponse:
    """The current organization's invoices."""
    rows = queries.invoices_of(request.organization)  # type: ignore[attr-defined]
    return render(request, "billing/invoices.html", {"invoices": [_shown(row) for row in rows]})


@login_required
@require_safe
def invoice(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One invoice of any of the user's organizations."""
    row = get_object_or_404(queries.invoice_for_page(), pk=pk)
    return render(request, "billing/invoice.html", {"invoice": _shown(row), "items": row.items.all()})


def _shown(row: Invoice) -> Invoice:
    """The invoice with the words of its page."""
    address = queries.address_of(row)
    row.status, row.get_status_display = row.state, row.get_state_display  # type: ignore[attr-defined]
    row.billing_name, row.tax_id = address["name"], address["tax_id"]  # type: ignore[attr-defined]
    row.billing_address = "\n".join(address["lines"])
    return row
