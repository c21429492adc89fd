"""The calls below `/v4`: token, limits, scopes, body, work, and Linode's headers on every answer."""

import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.linode.account import Account
from sandbox.linode.catalogue import REGIONS
from sandbox.linode.errors import ApiError
from sandbox.linode.listing import page_of, public
from sandbox.state import JsonObject

TOKEN, READING_TOKEN = "sim-linode-token", "sim-linode-reading-token"
SCOPES = {
    TOKEN: {"linodes:read_only", "linodes:read_write", "events:read_only", "ips:read_only", "ips:read_write"},
    READING_TOKEN: {"linodes:read_only"},
}
FILTERS = {
    "linodes": ("id", "label", "region", "ipv4", "tags", "group"),
    "events": ("id", "action", "created", "entity.id", "entity.type", "status", "username"),
    "regions": ("id", "label", "country"),
}
LIMITS = {"create": (20, 15), "list": (200, 60), "other": (1600, 60)}  # calls, and of how many seconds


@dataclass(frozen=True)
class Call:
    """A call that is allowed: the number or the address in its path, and its body."""

    request: Request
    body: JsonObject

    @property
    def number(self) -> int:
        """The machine's number."""
        return int(self.request.path_params["number"])


type Work = Callable[[Call], JsonObject | None]


class Api:
    """Linode's calls against one account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[BaseRoute]:
        """Every call, with the scope that it needs and the limit that it counts for."""
        account, one = self._account, "/linode/instances/{number:int}"
        calls: list[tuple[str, str, str, str, Work]] = [
            ("GET", "/regions", "", "list", self.regions),
            ("GET", "/account/events", "events:read_only", "list", self.events),
            ("GET", "/linode/instances", "linodes:read_only", "list", self.linodes),
            ("POST", "/linode/instances", "linodes:read_write", "create", lambda call: account.create(call.body)),
            ("GET", one, "linodes:read_only", "other", lambda call: account.find(call.number)),
            ("PUT", one, "linodes:read_write", "other", lambda call: account.update(call.number, call.body)),
            ("DELETE", one, "linodes:read_write", "other", lambda call: account.delete(call.number)),
            ("POST", f"{one}/boot", "linodes:read_write", "other", lambda call: account.boot(call.number)),
            ("POST", f"{one}/shutdown", "linodes:read_write", "other", lambda call: account.shut_down(call.number)),
            ("POST", f"{one}/reboot", "linodes:read_write", "other", lambda call: account.reboot(call.number)),
            (
                *("POST", f"{one}/resize", "linodes:read_write", "other"),
                lambda call: account.resize(call.number, call.body),
            ),
            (
                *("POST", f"{one}/rebuild", "linodes:read_write", "other"),
                lambda call: account.rebuild(call.number, call.body),
            ),
            (
                *("POST", f"{one}/password", "linodes:read_write", "other"),
                lambda call: account.set_password(call.number, call.body),
            ),
            ("GET", "/networking/ips/{address}", "ips:read_only", "other", self.address),
            ("PUT", "/networking/ips/{address}", "ips:read_write", "other", self.rename_address),
        ]

        def serving(work: Work, scope: str, limit: str) -> Callable[[Request], Awaitable[Response]]:
            async def serve(request: Request) -> Response:
                return await self._serve(request, work, scope, limit)

            return serve

        return [
            Route(f"/v4{path}", serving(work, scope, limit), methods=[method])
            for method, path, scope, limit, work in calls
        ]

    async def refuse(self, _request: Request, status: int) -> Response:
        """An armed status fault."""
        return JSONResponse({"errors": [{"reason": "Please try again"}]}, status_code=status)

    async def _serve(self, request: Request, work: Work, scope: str, limit: str) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        scopes = SCOPES.get(token, set())
        headers = {
            "X-OAuth-Scopes": " ".join(sorted(scopes)),
            "X-Accepted-OAuth-Scopes": scope,
            "X-Customer-UUID": "6ad2a5d8-0000-4000-8000-000000000001",
            "X-Spec-Version": "4.189.0",
        }
        self._account.settle()
        try:
            if scope and not scopes:
                raise ApiError(401, ("Invalid Token", ""))
            self._count(f"{token} {limit}", *LIMITS[limit], headers)
            if scope and scope not in scopes:
                raise ApiError(403, ("Your OAuth token is not authorized to use this endpoint.", ""))
            answer = work(Call(request, await _body(request)))
        except ApiError as error:
            return JSONResponse(error.body(), status_code=error.status, headers=headers)
        return JSONResponse(public(answer) if answer else {}, headers=headers)

    def _count(self, name: str, limit: int, seconds: int, headers: dict[str, str]) -> None:
        """Count a call, and say so in the headers. Raises ApiError when there were too many in its window."""
        now = self._account.clock.now()
        window = self._account.calls.setdefault(name, [now, 0])
        if now - window[0] >= seconds:
            window[:] = [now, 0]
        window[1] += 1
        resets_at = window[0] + seconds
        headers |= {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - int(window[1]))),
            "X-RateLimit-Reset": str(math.ceil(resets_at)),
        }
        if window[1] > limit:
            headers["Retry-After"] = self._account.settings["retry_after"] or str(math.ceil(resets_at - now))
            raise ApiError(429, ("Too many requests", ""))

    def linodes(self, call: Call) -> JsonObject:
        """A page of the machines."""
        return self._page(call, "linodes", list(self._account.linodes.values()))

    def events(self, call: Call) -> JsonObject:
        """A page of the events, newest first."""
        return self._page(call, "events", self._account.events[::-1])

    def regions(self, call: Call) -> JsonObject:
        """A page of the regions, for everybody."""
        return self._page(call, "regions", list(REGIONS.values()))

    def _page(self, call: Call, name: str, rows: list[JsonObject]) -> JsonObject:
        request = call.request
        return page_of(rows, request.query_params, request.headers.get("x-filter", ""), FILTERS[name])

    def address(self, call: Call) -> JsonObject:
        """An address."""
        return self._account.address(call.request.path_params["address"])

    def rename_address(self, call: Call) -> JsonObject:
        """Another reverse name."""
        return self._account.rename_address(call.request.path_params["address"], call.body.get("rdns"))


async def _body(request: Request) -> JsonObject:
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        raise ApiError(400, ("Unable to parse JSON", "")) from None
    if not isinstance(body, dict):
        raise ApiError(400, ("Unable to parse JSON", ""))
    return body
