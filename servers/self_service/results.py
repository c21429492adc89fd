"""What a worker brought for the user who asked: links for downloads and uploads, and the keys of consoles."""

import re
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.csp import CSP
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_safe

from accounts.permissions import Action
from core import clock, tenancy
from servers.models import Operation, OperationOutcome, Server
from servers.self_service import operations
from servers.views import server_for

DOWNLOADS = ("backup.download", "file.download")
ACTIONS = {"file.upload": Action.SERVER_CONTENT, "console.open": Action.SERVER_CONSOLE}  # for scripts
_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")


@login_required
@require_safe
def download(request: HttpRequest, pk: UUID, operation: UUID) -> HttpResponse:
    """To the address that a worker was given; it is valid for minutes, and perhaps once."""
    server = server_for(request, Action.SERVER_CONTENT, pk)
    found = _newest(server, pk=operation, kind__in=DOWNLOADS, outcome=OperationOutcome.DONE)
    if found is None or not found.result:
        raise Http404
    return redirect(found.result["url"])


@login_required
@require_safe
def result(request: HttpRequest, pk: UUID, operation: UUID) -> HttpResponse:
    """What this user's script asked for: 202 until there is an answer, 409 with a sentence where it was refused."""
    server = server_for(request, Action.SERVER_CONSOLE, pk)  # which includes all who may do the other
    found = _newest(server, pk=operation, kind__in=ACTIONS, requested_by=request.user)
    if found is None:
        raise Http404
    server_for(request, ACTIONS[found.kind], pk)
    if found.is_open:
        return JsonResponse({}, status=202)
    is_done = found.outcome == OperationOutcome.DONE
    return JsonResponse(found.result if is_done else {"message": found.message}, status=200 if is_done else 409)


def _newest(server: Server, **filters: Any) -> Operation | None:
    """The last of these operations, while what it gave is of use."""
    with tenancy.as_worker(server):
        rows = Operation.objects.filter(server=server, requested_at__gte=clock.now() - operations.SHOWN_FOR, **filters)
        return rows.order_by("-requested_at").first()


def ask(request: HttpRequest, server: Server, kind: str) -> JsonResponse:
    """Ask for a result by script: 202 with the address at which it will be."""
    try:
        operation = operations.request(server=server, kind=kind, actor=request.user, at=clock.now())  # type: ignore[arg-type]
    except operations.OperationRefused as error:
        return JsonResponse({"message": str(error)}, status=409)
    return JsonResponse({"url": _address(operation)}, status=202)


def _address(operation: Operation) -> str:
    return reverse("servers:result", args=[operation.server_id, operation.pk])


def newest(request: HttpRequest, server: Server, kind: str) -> dict[str, Any]:
    """What the user was given last, with its `address` and its `origin`; empty where there is nothing."""
    found = _newest(server, kind=kind, outcome=OperationOutcome.DONE, requested_by=request.user)
    if found is None or not found.result:
        return {}
    origin = _origin_of(found.result.get("socket") or found.result.get("url", ""))
    return {**found.result, "address": _address(found), "origin": origin}


def _origin_of(url: str) -> str:
    """Scheme, host and port, where they are nothing else; what goes into a page's policy must not add to it."""
    parts = urlsplit(url)
    is_plain = parts.scheme in {"http", "https", "ws", "wss"} and _HOST.fullmatch(parts.netloc)
    return f"{parts.scheme}://{parts.netloc}" if is_plain else ""


def allow_connection(request: HttpRequest, response: HttpResponse, origin: str) -> HttpResponse:
    """Let the page's scripts talk to this origin besides ours, and to no other."""
    if not origin:
        return response
    policy: dict[str, Any] = settings.SECURE_CSP | {"connect-src": [CSP.SELF, origin]}
    allowed: HttpResponse = csp_override(policy)(lambda _request: response)(request)
    return allowed
