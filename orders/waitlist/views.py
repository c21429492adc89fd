"""The customer's page of what they wait for."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.permissions import Action
from core import clock, site_settings
from orders.waitlist import entries
from orders.waitlist.models import OPEN, WaitlistEntry

MAX_OVER = 5  # how many that are over the page shows


@login_required
@require_safe
def waitlist(request: HttpRequest) -> HttpResponse:
    """What the organization waits for, with its position, and the last that are over."""
    rows = WaitlistEntry.objects.filter(organization=request.organization)  # type: ignore[attr-defined]
    rows = rows.select_related("plan__product", "region")
    shown = [*rows.filter(status__in=OPEN), *rows.exclude(status__in=OPEN).order_by("-joined_at")[:MAX_OVER]]
    found = entries.positions(shown)
    for entry in shown:
        entry.position = found.get(entry.pk)  # type: ignore[attr-defined]
    context = {"entries": shown, "hours": site_settings.get("orders.waitlist_hours")}
    return render(request, "orders/waitlist.html", context)


@login_required
@require_POST
def leave(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give up the place."""
    organizations = request.access.organizations(Action.ORDER_PLACE)  # type: ignore[attr-defined]
    entry = get_object_or_404(WaitlistEntry, pk=pk, organization__in=organizations)
    entries.leave(entry=entry, actor=request.user, at=clock.now())  # type: ignore[arg-type]
    messages.success(request, _("You left the waitlist of %(name)s.") % {"name": entry})
    return redirect("orders:waitlist")
