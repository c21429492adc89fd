"""The customer's pages of servers."""

import logging
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.middleware import tenant_transaction
from core import outside, tenancy
from core.pages import render_part
from servers import queries, services, usage
from servers import shown as showing
from servers.forms import PowerForm, RenameForm
from servers.models import Server, ServerStatus

log = logging.getLogger(__name__)
PER_PAGE = 50
LIVE = {ServerStatus.PENDING, ServerStatus.INSTALLING, *showing.POWERED}


@login_required
@require_safe
def servers(request: HttpRequest) -> HttpResponse:
    """The current organization's servers."""
    rows = queries.servers_of(request.organization)  # type: ignore[attr-defined]
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "servers/list.html", {"servers": page.object_list, "page_obj": page})


def _server(pk: UUID) -> Server:
    """The server, when it belongs to one of the user's organizations; row-level security decides that."""
    server = queries.server_for_page().filter(pk=pk).first()
    if server is None:
        raise Http404
    return server


@tenancy.non_atomic_view
@login_required
@require_safe
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The server with its live figures, which are asked of the panel outside any transaction."""
    with tenant_transaction(request):
        server = _server(pk)
    figures = usage.usage_of(server, timezone.now()) if server.status in showing.POWERED else None
    with tenant_transaction(request):
        return _page(request, server, figures=figures)


def _page(request: HttpRequest, server: Server, *, figures: Any = None, form: RenameForm | None = None) -> HttpResponse:
    context = {
        "server": server,
        "usage": figures,
        "samples": figures.samples if figures else {},
        "shown": showing.shown(server, figures),
        "can_power": server.status in showing.POWERED,
        "is_live": server.status in LIVE,
        "form": form or RenameForm(initial={"name": server.name}),
    }
    status = 422 if form is not None and form.errors else 200
    part = "rename" if form is not None else "live"
    return render_part(request, "servers/detail.html", part, context, status=status)


@login_required
@require_POST
def rename(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give the server another name, here and on the panel."""
    server = _server(pk)
    form = RenameForm(request.POST)
    if not form.is_valid():
        log.info("rename of %s refused: %s", server.pk, sorted(form.errors))
        return _page(request, server, form=form)
    services.rename_server(
        server_id=server.pk,
        name=form.cleaned_data["name"],
        actor=request.user,  # type: ignore[arg-type]
        at=timezone.now(),
    )
    messages.success(request, _("Renamed."))
    return redirect("servers:detail", pk=pk)


@tenancy.non_atomic_view
@login_required
@require_POST
def power(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Start, stop, restart or kill the machine."""
    form = PowerForm(request.POST)
    with tenant_transaction(request):
        server = _server(pk)
    if form.is_valid():
        _press(request, server, form.cleaned_data["signal"])
    else:
        messages.error(request, _("That is not something a server can do."))
    return redirect("servers:detail", pk=pk)


def _press(request: HttpRequest, server: Server, signal: str) -> None:
    try:
        services.send_power_action(
            server_id=server.pk,
            signal=signal,
            actor=request.user,  # type: ignore[arg-type]
            at=timezone.now(),
        )
    except services.PowerRefused as error:
        messages.error(request, str(error))
    except outside.OutsideError as error:
        log.warning("power %s of %s: %s", signal, server.pk, error)
        messages.error(request, _("The machine does not answer just now. Nothing was changed; try again in a moment."))
    else:
        showing.remember_press(server.pk, signal)
        messages.success(request, _("The machine has been told. The page follows what it does."))
