"""The customer's pages of servers."""

import logging
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.permissions import Access, Action
from core import clock
from core.compiled import compiled
from core.pages import paged, render_part
from servers import queries
from servers.drivers.base import PowerAction
from servers.forms import PowerForm
from servers.live import power as live_power
from servers.live import usage as live_usage
from servers.live.players import join_link
from servers.live.status import INSTALLED, live_status
from servers.models import PowerTask, Server, ServerStatus
from servers.self_service.sections import tabs

log = logging.getLogger(__name__)
PER_PAGE = 50
_listed_servers = paged(queries.listed_servers, PER_PAGE)
_server = compiled(lambda access, action, pk: queries.servers_for(access, action).filter(pk=pk))
_power_task = compiled(lambda server: PowerTask.objects.filter(server=server)[:1])
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
    page = _listed_servers(request.GET.get("page"), request.access, request.organization)  # type: ignore[attr-defined]
    return render(request, "servers/list.html", {"servers": page.object_list, "page_obj": page})


@login_required
@require_safe
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The server, with the usage that a worker samples while somebody looks at this page."""
    server = server_for(request, Action.SERVER_VIEW, pk)
    return _render_server(request, server)


def server_for(request: HttpRequest, action: Action, pk: UUID) -> Server:
    """The server, if the user may do this to it."""
    for server in _server(request.access, action, pk):  # type: ignore[attr-defined]
        return server
    raise Http404


def _render_server(request: HttpRequest, server: Server) -> HttpResponse:
    at, is_installed = clock.now(), server.status in INSTALLED
    if is_installed:
        live_usage.watch(server, at=at)
    history = live_usage.usage_of(server, at=at) if is_installed else live_usage.UsageHistory()
    task = next(iter(_power_task(server)), None) if is_installed else None
    access: Access = request.access  # type: ignore[attr-defined]
    allowed = access.actions(server.organization_id, server.access_level)  # type: ignore[attr-defined]
    context = {
        "allowed": allowed,
        "at": at,
        "is_installed": is_installed,
        "server": server,
        "usage": history.latest,
        "is_usage_fresh": history.is_fresh,
        "players": history.players,
        "join": join_link(server, server.query_protocol, server.query_port),  # type: ignore[attr-defined]
        "samples": {
            "cpu": [sample.cpu_percent for sample in history.samples],
            "memory": [sample.memory_mib for sample in history.samples],
        },
        "live_status": live_status(server, history, task, at=at),
        "can_power": is_installed and Action.SERVER_POWER in allowed,
        "is_live": server.status in REFRESHED,
        "tabs": tabs(server, allowed),
        "section": "detail",
    }
    return render_part(request, "servers/detail.html", "live", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def power(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Start, stop, restart or kill the server: a worker does, and its page shows how that goes."""
    server = server_for(request, Action.SERVER_POWER, pk)
    if request.method != "POST":  # who had to sign in first comes back by a link
        return redirect("servers:detail", pk=pk)
    sent_from = request.POST.get("section")
    page = resolve_url("servers:console" if sent_from == "console" else "servers:detail", pk=pk)
    if sent_from == "dashboard":
        page = resolve_url(settings.LOGIN_REDIRECT_URL)
    form = PowerForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Servers have no such power action. Reload the page and try again."))
        return redirect(page)
    action = PowerAction(form.cleaned_data["action"])
    try:
        live_power.request_power_action(
            server=server,
            action=action,
            actor=request.user,  # type: ignore[arg-type]
            at=clock.now(),
        )
    except live_power.PowerRefused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, REQUESTED[action])
    return redirect(page)
