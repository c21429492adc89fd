"""The home page, the dashboard, and the page for our own faults."""

from datetime import timedelta
from typing import Any, NamedTuple

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from accounts.permissions import Action
from billing import queries as billing
from core import clock, site_settings
from core.compiled import compiled
from core.context_processors import Site
from core.pages import public_page
from orders import queries as orders
from orders.renewal.queries import paused_of, renewals_of_servers
from orders.storefront.currencies import currency_of
from orders.storefront.offers import listing_of
from orders.storefront.published import read_once
from servers import queries as servers
from servers.live.summaries import Summary, summaries_of
from servers.models import Server

MAX_SERVERS = 12  # on the dashboard; the list has them all
_first_servers = compiled(lambda *whose: servers.listed_servers(*whose)[:MAX_SERVERS])
_open_orders = compiled(orders.open_orders)
_invoices_due = compiled(billing.invoices_due)


class ServerCard(NamedTuple):
    """A server on the dashboard: when it renews, how it is right now, and whether the user may start and stop it."""

    server: Server
    renewal: Any
    now: Summary | None
    can_power: bool


@public_page()
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The shop's home page, with the times it promises as the settings have them."""
    currency = currency_of(request)
    listing, regions = read_once(("home", currency), lambda: (listing_of(currency), servers.regions_for_sale()))
    context = {
        "cards": listing.cards,
        "regions": regions,
        "failed_refund_after": timedelta(hours=site_settings.get("orders.failed_refund_hours")),
        "waiting_refund_after": timedelta(hours=site_settings.get("orders.waiting_refund_hours")),
        "reserved_for": timedelta(minutes=site_settings.get("orders.reservation_minutes")),
    }
    return render(request, "nodebyte/home.html", context)


@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """What the current organization has and when it renews, what it ordered, and what it owes."""
    organization, access = request.organization, request.access  # type: ignore[attr-defined]
    shown = _first_servers(access, organization)
    at = clock.now()
    renewals = renewals_of_servers(access, [server.pk for server in shown], at=at)
    summaries = summaries_of(shown, at=at)
    context = {
        "at": at,
        "servers": [
            ServerCard(
                server,
                renewals.get(server.pk),
                summaries.get(server.pk),
                Action.SERVER_POWER in access.actions(server.organization_id, server.access_level),  # type: ignore[attr-defined]
            )
            for server in shown
        ],
        "paused": paused_of(access, shown),
        "orders": _open_orders(access, organization),
        "invoices": _invoices_due(access, organization),
    }
    return render(request, "nodebyte/dashboard.html", context)


def server_error(request: HttpRequest) -> HttpResponse:
    """The page for our own faults, in the shop's brand as last read: it asks neither the database nor the session."""
    context = {"site": Site(read=site_settings.last_public), "request": request}
    return HttpResponse(render_to_string("500.html", context), status=500)
