"""Everything below ``/api``: from the route and the key to the endpoint and its answer."""

import asyncio
import logging
import secrets
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from sandbox.pterodactyl import jobs
from sandbox.pterodactyl.application import allocations, creation, locations, nests, nodes, servers, users
from sandbox.pterodactyl.application import databases as application_databases
from sandbox.pterodactyl.call import READ, WRITE, Call, cleaned, parse_body, parse_query, path_of
from sandbox.pterodactyl.client import backups, files, network, schedules, startup, subusers
from sandbox.pterodactyl.client import databases as client_databases
from sandbox.pterodactyl.client import servers as client_servers
from sandbox.pterodactyl.errors import PanelError, WorkerDied, forbidden
from sandbox.pterodactyl.keys import IDENTIFIER_LENGTH, KEY_LENGTH
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.routing import find_route
from sandbox.pterodactyl.rows import ApiKey, User

MODULES = (
    *(users, nodes, allocations, locations, nests, creation, application_databases, servers),
    *(client_servers, backups, client_databases, files),
    *(startup, schedules, network, subusers),
)
ROUTES = [route for module in MODULES for route in module.routes.listed]
log = logging.getLogger(__name__)


async def answer(panel: Panel, request: Request) -> Response:
    """Answer a request, errors included."""
    jobs.run_due(panel)
    fastest, slowest = panel.settings.call_min_ms, panel.settings.call_max_ms
    if slowest:
        await asyncio.sleep(panel.rng.uniform(fastest, max(fastest, slowest)) / 1000)
    headers: dict[str, str] = {}
    try:
        response = await dispatch(panel, request, headers)
    except PanelError as error:
        response = error_response(panel, request, error)
    except WorkerDied:
        return HTMLResponse("<html><head><title>502 Bad Gateway</title></head></html>", status_code=502)
    except Exception:  # the panel answers 500 for whatever its code did not foresee
        log.exception("%s %s", request.method, path_of(request))
        response = error_response(panel, request, PanelError(500, "ErrorException"))
    response.headers.update(headers)
    return response


async def dispatch(panel: Panel, request: Request, headers: dict[str, str]) -> Response:
    """Check a request step by step, in the panel's order, and run its endpoint.

    ``headers`` is filled with what the answer carries even when it is an error. Raises PanelError.
    """
    if panel.settings.is_panel_in_maintenance:
        raise PanelError(503, "HttpException", "Service Unavailable")
    route, params = find_route(ROUTES, request.method, path_of(request))
    user, key = authenticate(panel, request)
    limit = panel.settings.rate_limits[route.api]
    headers.update(panel.limiter.count(route.api, user.uuid, limit=limit, now=panel.now()))
    address = request.client.host if request.client else ""
    if key.allowed_ips and address not in key.allowed_ips:
        raise forbidden()
    body = await request.body()
    query = cleaned(parse_query(request.url.query))
    fields = {**query, **cleaned(parse_body(request, body))}
    call = Call(panel, request, params, user, key, query, fields, body)
    if route.api == "client" and key.is_application:
        raise forbidden()
    if route.api == "application":
        right = READ if request.method in {"GET", "HEAD"} else WRITE
        if not user.is_root_admin or not call.has_right(route.resource, right):
            raise forbidden()
    return await route.endpoint(call)


def authenticate(panel: Panel, request: Request) -> tuple[User, ApiKey]:
    """The owner of a request's key, and the key.

    Raises a 401 for anything that is not a complete, known bearer key.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and len(token) == KEY_LENGTH:
        for key in panel.store.keys.where(identifier=token[:IDENTIFIER_LENGTH]):
            owner = panel.store.users.get(key.user_id)
            if owner is not None and secrets.compare_digest(key.secret, token[IDENTIFIER_LENGTH:]):
                return owner, key
    raise PanelError(401, "AuthenticationException", "Unauthenticated.")


def error_response(panel: Panel, request: Request, error: PanelError) -> Response:
    """The answer for an error: JSON when the caller's first choice is JSON, else a redirect or an HTML page."""
    first_choice = request.headers.get("accept", "").split(",")[0].lower()
    if "/json" in first_choice or "+json" in first_choice:
        return JSONResponse({"errors": error.elements()}, status_code=error.status, headers=error.headers)
    if error.status == 401:
        return RedirectResponse(f"{panel.url}/auth/login", status_code=302, headers=error.headers)
    if error.status in {400, 422}:
        return RedirectResponse(f"{panel.url}/", status_code=302, headers=error.headers)
    page = f"<!doctype html><title>{error.status}</title><h1>{error.status}</h1><p>{escape(error.detail)}</p>"
    return HTMLResponse(page, status_code=error.status, headers=error.headers)
