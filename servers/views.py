"""The customer's pages of servers."""

import logging
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.middleware import tenant_transaction
from accounts.permissions import Access, Action
from core import clock, outside, tenancy
from core.pages import render_part
from servers import queries, services
from servers.drivers.base import PowerAction
from servers.forms import PowerForm, RenameForm
from servers.live import power as live_power
from servers.live.status import INSTALLED, live_status, store_pending_action
from servers.live.usage import usage_of
from servers.models import Server, ServerStatus

log = logging.getLogger(__name__)
PER_PAGE = 50
REQUESTED = {
    PowerAction.START: _("Starting the server. This page shows when it runs."),
    PowerAction.RESTART: _("Restarting the server. This page shows when it runs again."),
    PowerAction.STOP: _("Stopping the server. This page shows when it has stopped."),
    PowerAction.KILL: _("Killing the server without saving. This page shows when it has stopped."),
}
REFRESHED = {ServerStatus.PENDING, ServerStatus.INSTALLING, *INSTALLED}


@login_required
@require_safe
def servers(request: HttpRequest) -> HttpResponse:
    """The current organization's servers, and those of others that the user was given access to."""
    rows = queries.listed_servers(request.access, request.organization)  # type: ignore[attr-defined]
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "servers/list.html", {"servers": page.object_list, "page_obj": page})


@tenancy.non_atomic_view
@login_required
@require_safe
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The server with its usage, which is asked of the panel outside any transaction."""
    server = _server_for(request, Action.SERVER_VIEW, pk)
    return _render_server(request, server, RenameForm(initial={"name": server.name}))


def _server_for(request: HttpRequest, action: Action, pk: UUID) -> Server:
    """The server, if the user may do this to it."""
    with tenant_transaction(request):
        return get_object_or_404(queries.servers_for(request.access, action), pk=pk)  # type: ignore[attr-defined]


def _render_server(request: HttpRequest, server: Server, form: RenameForm, part: str = "live") -> HttpResponse:
    usage = usage_of(server) if server.status in INSTALLED else None
    access: Access = request.access  # type: ignore[attr-defined]
    allowed = access.actions(server.organization_id, server.access_level)  # type: ignore[attr-defined]
    context = {
        "server": server,
        "allowed": allowed,
        "usage": usage,
        "samples": usage.samples if usage else {},
        "live_status": live_status(server, usage),
        "is_installed": server.status in INSTALLED,
        "can_power": server.status in INSTALLED and Action.SERVER_POWER in allowed,
        "is_live": server.status in REFRESHED,
        "form": form,
    }
    with tenant_transaction(request):
        return render_part(request, "servers/detail.html", part, context, status=422 if form.errors else 200)


@tenancy.non_atomic_view
@login_required
@require_POST
def rename(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give the server another name, here and on the panel."""
    server = _server_for(request, Action.SERVER_RENAME, pk)
    form = RenameForm(request.POST)
    if not form.is_valid():
        log.info("rename of %s refused: %s", server.pk, sorted(form.errors))
        return _render_server(request, server, form, part="rename")
    with tenant_transaction(request):
        services.rename_server(
            server=server,
            name=form.cleaned_data["name"],
            actor=request.user,  # type: ignore[arg-type]
            at=clock.now(),
        )
    messages.success(request, _("Renamed."))
    return redirect("servers:detail", pk=pk)


@tenancy.non_atomic_view
@login_required
@require_POST
def power(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Start, stop, restart or kill the server."""
    server = _server_for(request, Action.SERVER_POWER, pk)
    form = PowerForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Servers have no such power action. Reload the page and try again."))
        return redirect("servers:detail", pk=pk)
    action = form.cleaned_data["action"]
    try:
        live_power.send_power_action(
            server=server,
            action=action,
            actor=request.user,  # type: ignore[arg-type]
            at=clock.now(),
        )
    except live_power.PowerRefused as error:
        messages.error(request, str(error))
    except outside.OutsideError as error:
        log.warning("power %s of %s: %s", action, server.pk, error)
        messages.error(request, _("The server does not answer at the moment. Nothing was changed; try again shortly."))
    else:
        store_pending_action(server.pk, action)
        messages.success(request, REQUESTED[PowerAction(action)])
    return redirect("servers:detail", pk=pk)
