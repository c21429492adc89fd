"""The front page, and the first page after signing in."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing import queries as billing
from core import site_settings
from orders import queries as orders
from orders.shop import shelf
from orders.views import currency_of
from servers import queries as servers

MAX_SERVERS = 12  # on the first page; the list has them all


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The shop's front page."""
    context = {"products": shelf(currency_of(request)), "locations": servers.locations_for_sale(), **_promises()}
    return render(request, "nodebyte/home.html", context)


def _promises() -> dict[str, Any]:
    """The times that the front page promises, as the shop is set up now."""
    hours = {name: site_settings.get(f"orders.{name}_refund_hours") for name in ("failed", "waiting")}
    return {
        "refund_after": {name: timedelta(hours=count) for name, count in hours.items()},
        "held_for": timedelta(minutes=site_settings.get("orders.hold_minutes")),
    }


@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """What the current organization has, what is under way, and what it owes."""
    organization = request.organization  # type: ignore[attr-defined]
    context = {
        "servers": servers.servers_of(organization)[:MAX_SERVERS],
        "orders": orders.orders_under_way(organization),
        "invoices": billing.invoices_due(organization),
    }
    return render(request, "nodebyte/dashboard.html", context)
