"""The front page, and the first page after signing in."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing import queries as billing
from orders import queries as orders
from orders.shop import shelf
from orders.views import currency_of
from servers import queries as servers


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The shop's front page."""
    context = {"products": shelf(currency_of(request)), "locations": servers.locations_for_sale()}
    return render(request, "nodebyte/home.html", context)


@login_required
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """What the current organization has, what is under way, and what it owes."""
    organization = request.organization  # type: ignore[attr-defined]
    context = {
        "servers": servers.servers_of(organization),
        "orders": orders.orders_under_way(organization),
        "invoices": billing.invoices_due(organization),
    }
    return render(request, "nodebyte/dashboard.html", context)
