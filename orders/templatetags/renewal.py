"""What pages of servers say about orders and money; the app of servers knows neither."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import template
from django.utils.translation import gettext_lazy as _

from accounts.permissions import Action
from billing.models import Invoice
from orders import events, queries
from orders.renewal.queries import (
    UnpaidHours,
    paused_of,
    pauses_of_servers,
    renewals_of_servers,
    unpaid_hours_of,
    unpaid_invoice_of,
)
from servers.models import HoldKind, Server

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

register = template.Library()
# Of a server that was transferred. Who paid is told what they can do by e-mail.
RECEIVED_HOLDS = {
    events.PERIOD_DISPUTED: _(
        "This server is suspended: the payment that bought this period is disputed by its bank. It was made by whoever "
        "transferred the server to you. It is not running, and its files are kept. It starts again when the dispute is "
        "won, or with the next period that you pay."
    ),
    events.PERIOD_WITHDRAWN: _(
        "This server is suspended: the payment that bought this period went back to whoever transferred the server to "
        "you. It is not running, and its files are kept. It starts again with the next period that you pay."
    ),
}


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


@register.simple_tag
def received_hold(server: Server) -> "StrOrPromise":
    """Why a server that was transferred is suspended, where the one who paid its present period has the money back."""
    reasons = server.holds.filter(kind=HoldKind.BILLING, lifted_at=None).values_list("reason", flat=True)
    return RECEIVED_HOLDS.get(reasons.first() or "", "")


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
