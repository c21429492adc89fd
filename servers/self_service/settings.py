"""The page of a server's settings: its name, SFTP, installing again, and how it is given up."""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.permissions import Action
from core import clock, tenancy
from servers import builds, services
from servers.drivers import registry
from servers.drivers.self_service import InstallsAgain, Rebuild, RootPassword, Sftp
from servers.forms import RenameForm
from servers.models import Operation, PanelAccount, Server
from servers.self_service import operations, rebuilding, rescue
from servers.self_service.backups import ConfirmForm
from servers.self_service.pages import render_section, requested, server_in

log = logging.getLogger(__name__)
ACTS = ("reinstall", "rebuild", "root_password", rescue.KIND)


@login_required
@require_safe
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Everything that is set for the server as a whole."""
    server = server_in(request, "settings", pk, Action.SERVER_RENAME)
    return _render(request, server, RenameForm(initial={"name": server.name}))


def _render(request: HttpRequest, server: Server, form: RenameForm) -> HttpResponse:
    driver, at = operations.driver_for(server), clock.now()
    if isinstance(driver, Sftp):
        shown = operations.show(server, "sftp", at=at, target=_account_name(server), acts=ACTS)
    else:
        shown = operations.acts_of(server, ACTS, at=at)
    context: dict[str, Any] = {
        "form": form,
        "shown": shown,
        "is_live": shown.is_busy,
        "has_sftp": isinstance(driver, Sftp),
        "can_reinstall": isinstance(driver, InstallsAgain),
        "can_rebuild": isinstance(driver, Rebuild),
        "can_set_password": isinstance(driver, RootPassword),
        "can_rescue": rescue.is_offered(server, driver, request.user.pk),
        "links": [each for each in shown.operations if each.kind == rescue.KIND and _is_fresh(each, request, at)],
        "has_password": isinstance(driver, Rebuild) and rebuilding.has_password(server),
    }
    status = 422 if form.errors else 200
    return render_section(request, server, "servers/settings.html", context, section="settings", status=status)


def _is_fresh(link: Operation, request: HttpRequest, at: datetime) -> bool:
    """Whether this user can still follow the link."""
    is_own = link.requested_by_id == request.user.pk and bool(link.result)
    return is_own and link.finished_at is not None and at - link.finished_at < rescue.VALID_FOR


def _account_name(server: Server) -> str:
    """The name of the owner's account at the provider; empty where there is none."""
    with tenancy.as_worker(server):
        accounts = PanelAccount.objects.filter(user=server.owner_id, provider__blueprints=server.blueprint_id)
        return accounts.values_list("username", flat=True).first() or ""


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rename(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give the server another name, here at once and on the panel soon."""
    server = server_in(request, "settings", pk, Action.SERVER_RENAME)
    if request.method != "POST":  # who had to sign in first comes back by a link
        return redirect("servers:settings", pk=pk)
    form = RenameForm(request.POST)
    if not form.is_valid():
        log.info("rename of %s refused: %s", server.pk, sorted(form.errors))
        return _render(request, server, form)
    services.rename_server(
        server=server,
        name=form.cleaned_data["name"],
        actor=request.user,  # type: ignore[arg-type]
        at=clock.now(),
    )
    messages.success(request, _("Renamed."))
    return redirect("servers:settings", pk=pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def reinstall(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Install again, after the server's name was typed."""
    server = server_in(request, "settings", pk, Action.SERVER_CONTENT)
    if not isinstance(operations.driver_for(server), InstallsAgain):
        raise Http404
    form = ConfirmForm(server, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        requested(
            request,
            gettext("Installing again. The server stops until that is done."),
            server=server,
            kind="reinstall",
        )
        return redirect("servers:settings", pk=pk)
    context = {
        "title": gettext("Install “%(name)s” again?") % {"name": server.name},
        "consequences": [_what_is_kept(server), gettext("The server stops until that is done.")],
        "button": gettext("Install again"),
        "form": form,
        "back": reverse("servers:settings", args=[pk]),
    }
    status = 422 if form.errors else 200
    return render_section(
        request, server, "servers/confirm.html", context, section="settings", part="page", status=status
    )


def _what_is_kept(server: Server) -> str:
    facts = registry.facts()[builds.provider_kind(server.blueprint_id)]
    if facts.reinstall_keeps_data:
        return gettext("Your files stay, and those that the installation brings are written anew: make a backup first.")
    return gettext("All files are deleted.")
