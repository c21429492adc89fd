"""The panel as an ASGI application, ready for the sandbox to mount."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from sandbox.frame import Frame, ServiceApp
from sandbox.pterodactyl import answers, console, node_http, pages
from sandbox.pterodactyl.application import allocations, creation, locations, nests, nodes, servers, users
from sandbox.pterodactyl.application import databases as application_databases
from sandbox.pterodactyl.client import account, backups, files, network, schedules, setup
from sandbox.pterodactyl.client import databases as client_databases
from sandbox.pterodactyl.client import servers as client_servers
from sandbox.pterodactyl.control import PanelControl
from sandbox.pterodactyl.errors import PanelError, missing
from sandbox.pterodactyl.limits import too_many_requests
from sandbox.pterodactyl.panel import Panel

MODULES = (
    *(users, nodes, allocations, locations, nests, creation, application_databases, servers),
    *(account, client_servers, backups, client_databases, files, schedules, setup, network),
)
SOCKET = re.compile(r"/node/(?P<node>[^/]+)/api/servers/(?P<server>[^/]+)/ws\Z")
LINK = re.compile(r"/node/(?P<node>[^/]+)/(?P<action>(?:download|upload)/\w+)\Z")
CODES = {
    400: "DisplayException",
    401: "AuthenticationException",
    403: "AccessDeniedHttpException",
    404: "NotFoundHttpException",
    409: "ServerStateConflictException",
    500: "QueryException",
    504: "DaemonConnectionException",
}


def panel_app(panel: Panel) -> ASGIApp:
    """Everything below the mount: both APIs, the nodes, the page for people."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await answer_socket(panel, WebSocket(scope, receive, send))
            return
        response = await answer(panel, Request(scope, receive))
        await response(scope, receive, send)

    return app


async def answer(panel: Panel, request: Request) -> Response:
    """Answer one request."""
    path = panel.path_of(request)
    if path.startswith("/api/"):
        return await panel.answer(request)
    link = LINK.match(path)
    if link is not None:
        return await node_http.serve(panel, request, link["node"], link["action"])
    if path == "/":
        panel.tick()
        return pages.overview(panel)
    return answers.refused(panel, request, missing())


async def answer_socket(panel: Panel, socket: WebSocket) -> None:
    """Serve a console, or refuse anything else."""
    match = SOCKET.match(panel.path_of(socket))
    if match is None:
        await socket.close()
        return
    await console.connect(panel, socket, node_id=match["node"], server_uuid=match["server"])


def build(frame: Frame) -> ServiceApp:
    """The panel stand-in with its seed loaded."""
    panel = Panel(frame, [route for module in MODULES for route in module.routes.listed])

    async def refuse(request: Request, status: int) -> Response:
        """An armed status fault, in the panel's own form."""
        error = PanelError(status, CODES.get(status, "HttpException"), "Refused on demand.")
        if status == 429:
            error = too_many_requests(panel.settings.rate_limits["application"], panel.now() + 1, panel.now())
        return answers.refused(panel, request, error)

    return ServiceApp(
        app=panel_app(panel),
        content=panel,
        refuse=refuse,
        control_routes=PanelControl(panel).routes(),
        background=panel,
        title="Pterodactyl",
    )
