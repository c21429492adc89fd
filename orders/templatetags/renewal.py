"""What pages of servers say about orders and money; the app of servers knows neither."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django import template

from accounts.permissions import Action
from billing.models import Invoice
from orders import queries
from orders.renewal.queries import (
    UnpaidHours,
    paused_of,
    pauses_of_servers,
    renewals_of_servers,
    unpaid_hours_of,
    unpaid_invoice_of,
)
from servers.models import Server

register = template.Library()


@register.inclusion_tag("subscriptions/panel.html", takes_context=True)
def renewal_panel(context: dict[str, Any], server: Server) -> dict[str, Any]:
    """When the server renews and what is charged for it; nothing for who may not see that."""
    request = context["request"]
    renewal = None
    if Action.SUBSCRIPTION_VIEW in request.access.actions(server.organization_id):
        renewal = renewals_of_servers(request.access, [server.pk], at=context["at"]).get(server.pk)
    return {"renewal": renewal, "at": context["at"], "request": request}


@register.simple_tag(takes_context=True)
def unpaid_invoice(context: dict[str, Any], server: Server) -> Invoice | None:
    """What must be paid for the server to start again; None for who may not see invoices."""
    return unpaid_invoice_of(context["request"].access, server)


@register.simple_tag(takes_context=True)
def unpaid_hours(context: dict[str, Any], server: Server) -> UnpaidHours | None:
    """What is charged first when the wallet pays for a server by the hour again; None where that is not so."""
    return unpaid_hours_of(context["request"].access, server, at=context["at"])


@register.simple_tag(takes_context=True)
def pause_of(context: dict[str, Any], server: Server) -> datetime | None:
    """Until when the server is paused; None where it is not, and for who may not see its subscription."""
    return pauses_of_servers(context["request"].access, [server.pk]).get(server.pk)


@register.simple_tag(takes_context=True)
def paused_servers(context: dict[str, Any], servers: Iterable[Server]) -> Collection[UUID]:
    """The ids of those servers that are paused, as far as the user may see their subscriptions. One query at most."""
    return paused_of(context["request"].access, servers)


@register.inclusion_tag("orders/open_orders.html", takes_context=True)
def open_orders(context: dict[str, Any]) -> dict[str, Any]:
    """The orders of the current organization that are neither delivered nor canceled."""
    request = context["request"]
    return {"orders": queries.open_orders(request.access, request.organization)}
