"""The way to a machine's screen and keyboard at its provider, for when it can no longer be reached."""

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts.permissions import Action
from core import clock, tenancy
from servers.drivers.self_service import RescueConsole
from servers.models import Operation, OperationOutcome, PanelAccount, Server
from servers.self_service import operations
from servers.self_service.pages import requested, server_in

KIND = "rescue.open"
VALID_FOR = timedelta(seconds=50)  # a link of VirtFusion is valid for a minute, and once


def is_offered(server: Server, driver: object, user_id: object) -> bool:
    """Whether the user may go there. The link signs in as the server's owner, so it is for nobody else."""
    return isinstance(driver, RescueConsole) and server.owner_id == user_id and bool(_account_name(server))


def _account_name(server: Server) -> str:
    """The owner's account at the provider; empty where there is none, or where it may do everything there."""
    with tenancy.as_worker(server):
        accounts = PanelAccount.objects.filter(user=server.owner_id, provider__blueprints=server.blueprint_id)
        return accounts.filter(is_panel_admin=False).values_list("username", flat=True).first() or ""


@login_required
@require_POST
def ask(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Have a worker ask for a link."""
    server = _server(request, pk)
    success = gettext("Opening the console. Its link appears here in a moment.")
    requested(request, success, server=server, kind=KIND, target=_account_name(server))
    return redirect("servers:settings", pk=pk)


@login_required
@require_safe
def follow(request: HttpRequest, pk: UUID, operation: UUID) -> HttpResponse:
    """To the link that this user asked for: once, and only while it is valid. No form may lead to another site."""
    server = _server(request, pk)
    with tenancy.as_worker(server):
        rows = Operation.objects.select_for_update().filter(
            pk=operation,
            server=server,
            kind=KIND,
            outcome=OperationOutcome.DONE,
            requested_by=request.user.pk,
            finished_at__gte=clock.now() - VALID_FOR,
        )
        found = next((each for each in rows if each.result), None)
        if found is not None:
            Operation.objects.filter(pk=found.pk).update(result=None)
    if found is None:
        messages.error(request, gettext("This link is no longer valid. Open the console again."))
        return redirect("servers:settings", pk=pk)
    return redirect(found.result["url"])


def _server(request: HttpRequest, pk: UUID) -> Server:
    server = server_in(request, "settings", pk, Action.SERVER_CONTENT)
    if not is_offered(server, operations.driver_for(server), request.user.pk):
        raise Http404
    return server
