"""The customer's page of saved cards. No card number is typed here: adding one happens on the gateway's page."""

import logging
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.middleware import tenant_transaction
from accounts.models import Organization
from accounts.permissions import Access, Action
from billing import method_setup, queries
from billing import payment_methods as methods
from billing.models import PaymentMethod
from core import clock, outside, tenancy

log = logging.getLogger(__name__)
ADDED = "added"  # in the address after the gateway's page: the card arrives here a moment later


def organization_of(request: HttpRequest) -> Organization:
    """The current organization, whose methods the user may manage. Http404 where they may not."""
    access: Access = request.access  # type: ignore[attr-defined]
    organization: Organization | None = request.organization  # type: ignore[attr-defined]
    if organization is None or not access.may(Action.PAYMENT_METHOD_MANAGE, organization):
        raise Http404
    return organization


def method_of(request: HttpRequest, pk: UUID) -> PaymentMethod:
    """A method that the user may manage. Http404 where there is none."""
    owned = queries.methods_for(request.access, Action.PAYMENT_METHOD_MANAGE)  # type: ignore[attr-defined]
    return get_object_or_404(owned, pk=pk)


@login_required
@require_safe
def payment_methods(request: HttpRequest) -> HttpResponse:
    """The saved cards, and what they are charged for."""
    organization, today = organization_of(request), clock.now().date()
    context = {
        "methods": [(method, methods.expiry_text(method, today)) for method in queries.methods_of(organization)],
        "renewed": methods.renewed_by_method(organization),
        "has_portal": queries.is_renewed_by_gateway(organization),
        "is_added": ADDED in request.GET,
    }
    return render(request, "billing/payment_methods.html", context)


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_POST
def add_method(request: HttpRequest) -> HttpResponse:
    """To the gateway's page on which a card is saved."""
    with tenant_transaction(request):
        organization = organization_of(request)
    page = f"{settings.SITE_URL}{reverse('billing:payment_methods')}"
    try:
        url = method_setup.setup_page(organization=organization, success_url=f"{page}?{ADDED}=1", cancel_url=page)
    except outside.OutsideError as error:
        log.warning("saving a card of %s: %s", organization.pk, error)
        url = ""
    if not url:
        messages.error(request, _("No card can be saved right now. Try again in a moment."))
        return redirect("billing:payment_methods")
    return HttpResponseRedirect(url, status=303)


@outside.calls_outside
@tenancy.non_atomic_view
@login_required
@require_POST
def portal(request: HttpRequest) -> HttpResponse:
    """To the gateway's page for what the gateway renews."""
    with tenant_transaction(request):
        organization = organization_of(request)
    return_url = f"{settings.SITE_URL}{reverse('billing:payment_methods')}"
    try:
        url = method_setup.portal_page(organization=organization, return_url=return_url)
    except outside.OutsideError as error:
        log.warning("the portal of %s: %s", organization.pk, error)
        url = ""
    if not url:
        messages.error(request, _("This page cannot be opened right now. Try again in a moment."))
        return redirect("billing:payment_methods")
    return HttpResponseRedirect(url, status=303)


@login_required
@require_POST
def make_default(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Charge this card from now on."""
    methods.make_default(method=method_of(request, pk), actor=request.user)
    return redirect("billing:payment_methods")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Remove a card. What is charged to it is named first, with what becomes of that, and asked about."""
    method = method_of(request, pk)
    if request.method == "POST":
        act = methods.remove_anyway if "is_certain" in request.POST else methods.remove_method
        try:
            act(method=method, actor=request.user, at=clock.now())
        except methods.MethodInUse:
            context = {
                "method": method,
                "renewed": methods.renewed_by_method(method.organization),
                "is_topped_up": methods.is_topped_up_by_method(method.organization),
                "other": methods.next_default(method),
            }
            return render(request, "billing/remove_method.html", context, status=409)
        messages.success(request, _("%(card)s was removed and is not charged any more.") % {"card": method.label})
    return redirect("billing:payment_methods")
