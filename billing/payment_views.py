"""The customer's pages on which an invoice is paid."""

import logging
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.middleware import tenant_transaction
from accounts.permissions import Action
from billing import queries, saved_charges
from core import clock, outside, tenancy

log = logging.getLogger(__name__)
RETURNED = "returned"  # in the address after the bank's page: the answer arrives a moment later


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_charge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Where an e-mail leads: the customer goes on to their bank to confirm what we charge to their saved card."""
    with tenant_transaction(request):
        invoices = queries.invoices_for(request.access, Action.INVOICE_PAY)  # type: ignore[attr-defined]
        invoice = get_object_or_404(invoices.select_related("organization"), pk=pk)
        payment = queries.open_charge_of(invoice)
        if payment is None or not payment.waits_for_owner:
            return redirect("billing:invoice", pk=pk)
        if request.method != "POST":
            context = {
                "invoice": invoice,
                "payment": payment,
                "at": clock.now(),
                "is_returned": RETURNED in request.GET,
            }
            return render(request, "billing/confirm_charge.html", context)
    return_url = f"{settings.SITE_URL}{reverse('billing:confirm_charge', kwargs={'pk': pk})}?{RETURNED}=1"
    try:
        bank_url = saved_charges.confirm_charge(payment=payment, return_url=return_url, at=clock.now())
    except outside.OutsideError as error:
        log.warning("confirming payment %s: %s", payment.pk, error)
        text = _("Your bank's page could not be opened, and nothing was charged. Try again in a moment.")
        messages.error(request, text)
        return redirect("billing:confirm_charge", pk=pk)
    return HttpResponseRedirect(bank_url, status=303) if bank_url else redirect("billing:invoice", pk=pk)
