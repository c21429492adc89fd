"""The `/_control` routes: how tests reset, break, watch and move the sandbox. Loopback only, no password."""

import ipaddress
import json
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.faults import UnknownFault, request_fits
from sandbox.frame import Frame, ServiceApp
from sandbox.state import Persistent


class LoopbackOnly:
    """Refuses callers from other machines, and pages in a browser on this one: these routes can change everything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass loopback callers on, answer 403 to the rest."""
        client = scope.get("client")
        is_browser = any(name == b"origin" for name, _ in scope.get("headers", ()))
        if client and ipaddress.ip_address(client[0]).is_loopback and not is_browser:
            await self._app(scope, receive, send)
        else:
            await refusal("control routes answer loopback callers only", 403)(scope, receive, send)


def refusal(message: str, status: int = 400) -> JSONResponse:
    """A control error: one sentence under `error`."""
    return JSONResponse({"error": message}, status_code=status)


class ControlError(ValueError):
    """A control request that makes no sense; the text gives the reason."""


async def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object; an empty body is an empty object.

    Raises ControlError when it is anything else.
    """
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError as error:
        raise ControlError("the body is not JSON") from error
    if not isinstance(body, dict):
        raise ControlError("the body must be a JSON object")
    return body


async def on_control_error(_request: Request, error: Exception) -> Response:
    """Turn a ControlError into its 400."""
    return refusal(str(error))


class Control:
    """The handlers of `/_control` itself, over every service and every saved part."""

    def __init__(self, frame: Frame, services: list[ServiceApp], parts: list[Persistent]) -> None:
        self._frame = frame
        self._services = services
        self._parts = parts

    def routes(self) -> list[BaseRoute]:
        """Routes below `/_control`."""
        own: list[BaseRoute] = [
            Route("/reset", self.reset, methods=["POST"]),
            Route("/faults", self.arm, methods=["POST"]),
            Route("/faults", self.list_faults, methods=["GET"]),
            Route("/faults", self.clear_faults, methods=["DELETE"]),
            Route("/requests", self.list_requests, methods=["GET"]),
            Route("/clock", self.move_clock, methods=["POST"]),
            Route("/clock", self.read_clock, methods=["GET"]),
        ]
        return own + [Mount(f"/{service.name}", routes=service.control_routes) for service in self._services]

    async def reset(self, request: Request) -> Response:
        """Bring one part, or with null everything, back to its seeded start."""
        name = (await json_body(request)).get("service")
        known = [part for part in self._parts if name in {None, part.name}]
        if not known:
            raise ControlError(f"no such service: {name}")
        for part in known:
            part.reset()
            self._frame.state.save(part)
        self._frame.resets += 1
        self._frame.faults.clear(name)
        self._frame.requests.clear(name)
        return JSONResponse({"reset": [part.name for part in known]})

    async def arm(self, request: Request) -> Response:
        """Arm one fault."""
        options = await json_body(request)
        if options.get("service") not in {service.name for service in self._services}:
            raise ControlError(f"no such service: {options.get('service')}")
        try:
            fault = self._frame.faults.arm(options)
        except UnknownFault as error:
            raise ControlError(str(error)) from error
        return JSONResponse(asdict(fault), status_code=201)

    async def list_faults(self, _request: Request) -> Response:
        """The armed faults and how often each hit."""
        return JSONResponse({"faults": self._frame.faults.listed()})

    async def clear_faults(self, _request: Request) -> Response:
        """Disarm all faults."""
        self._frame.faults.clear(None)
        return JSONResponse({"faults": self._frame.faults.listed()})

    async def list_requests(self, request: Request) -> Response:
        """The requests seen, oldest first, optionally of one service and fitting one `match`."""
        entries = self._frame.requests.of(request.query_params.get("service"))
        match = request.query_params.get("match")
        if match:
            entries = [entry for entry in entries if request_fits(match, entry["method"], entry["path"])]
        return JSONResponse({"requests": entries})

    async def read_clock(self, _request: Request) -> Response:
        """The present instant."""
        return JSONResponse({"now": self._frame.clock.now()})

    async def move_clock(self, request: Request) -> Response:
        """Advance by seconds, jump to an instant, or with `at: null` return to real time."""
        body = await json_body(request)
        clock = self._frame.clock
        if "advance" in body:
            clock.advance(_number(body["advance"]))
        elif body.get("at") is not None:
            clock.set_to(_number(body["at"]))
        else:
            clock.reset()
        self._frame.state.save(clock)
        for service in self._services:
            if service.background is not None:
                service.background.tick()
        return JSONResponse({"now": clock.now()})


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ControlError("advance and at are numbers of seconds")
    return float(value)
