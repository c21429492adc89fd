"""What the pages of the sections share: who may open them, and their head with the tabs."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse

from accounts.permissions import Access, Action
from core import clock
from core.pages import render_part
from servers.models import Server
from servers.self_service import operations, sections
from servers.views import server_for


def server_in(request: HttpRequest, section: str, pk: UUID, action: Action) -> Server:
    """The server, if its provider has the section and the user may do the action. Raises a 404."""
    server = server_for(request, action, pk)
    if not sections.has_section(server, section):
        raise Http404
    return server


def render_section(
    request: HttpRequest,
    server: Server,
    template: str,
    context: Mapping[str, Any],
    *,
    section: str,
    part: str = "live",
    status: int = 200,
) -> HttpResponse:
    """A section's page, or the part of it that htmx asked for."""
    access: Access = request.access  # type: ignore[attr-defined]
    allowed = access.actions(server.organization_id, server.access_level)  # type: ignore[attr-defined]
    shared = {"server": server, "allowed": allowed, "tabs": sections.tabs(server, allowed), "section": section}
    return render_part(request, template, part, {**shared, **context}, status=status)


def requested(request: HttpRequest, success: str, **values: Any) -> bool:
    """Ask for an operation, and tell the user that or why not."""
    try:
        operations.request(actor=request.user, at=clock.now(), **values)  # type: ignore[arg-type]
    except operations.OperationRefused as error:
        messages.error(request, str(error))
        return False
    messages.success(request, success)
    return True
