"""The panel as an ASGI application, ready for the sandbox to mount."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from sandbox.frame import Frame, ServiceApp
from sandbox.pterodactyl import api, console, jobs, signed_links, web_page
from sandbox.pterodactyl.call import path_of
from sandbox.pterodactyl.control import PanelControl
from sandbox.pterodactyl.errors import PanelError, not_found
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rate_limits import too_many_requests

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


class NodeWork:
    """The nodes' planned work, which goes on between requests."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def tick(self) -> None:
        """Do what is due."""
        jobs.run_due(self.panel)

    async def close(self) -> None:
        """Nothing runs between ticks."""


async def answer(panel: Panel, request: Request) -> Response:
    """Answer one request to the APIs, a node's link or the web page."""
    path = path_of(request)
    if path.startswith("/api/"):
        return await api.answer(panel, request)
    link = LINK.match(path)
    if link is not None:
        return await signed_links.serve(panel, request, link["node"], link["action"])
    if path == "/":
        jobs.run_due(panel)
        return web_page.overview(panel)
    return api.error_response(panel, request, not_found())


def build(frame: Frame) -> ServiceApp:
    """The panel stand-in with its seed loaded."""
    panel = Panel(frame)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            response = await answer(panel, Request(scope, receive))
            await response(scope, receive, send)
            return
        socket = WebSocket(scope, receive, send)
        match = SOCKET.match(path_of(socket))
        if match is None:
            await socket.close()
        else:
            await console.connect(panel, socket, node_id=match["node"], server_uuid=match["server"])

    async def refuse(request: Request, status: int) -> Response:
        """An armed status fault, in the panel's own form."""
        error = PanelError(status, CODES.get(status, "HttpException"), "Refused on demand.")
        if status == 429:
            error = too_many_requests(panel.settings.rate_limits["application"], panel.now() + 1, panel.now())
        return api.error_response(panel, request, error)

    return ServiceApp(
        app=app,
        content=panel,
        refuse=refuse,
        control_routes=PanelControl(panel).routes(),
        background=NodeWork(panel),
        title="Pterodactyl",
    )
