"""The panel as a whole: its records and settings, and the way a request takes through it."""

import logging
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from starlette._utils import get_route_path
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from sandbox.frame import Frame
from sandbox.pterodactyl import answers, backup_work, daemon, keys, lifecycle, power, seed
from sandbox.pterodactyl.call import Call, cleaned, parse_body, parse_query
from sandbox.pterodactyl.errors import PanelError, WorkerDied, forbidden
from sandbox.pterodactyl.limits import RateLimiter
from sandbox.pterodactyl.routing import Route, find
from sandbox.pterodactyl.rows import Due, Server
from sandbox.pterodactyl.settings import Settings
from sandbox.pterodactyl.store import Store

JOURNAL_LENGTH = 400
log = logging.getLogger(__name__)
WORK = {
    "install": lifecycle.on_install_due,
    "power": power.on_due,
    "backup": backup_work.on_backup_due,
    "restore": backup_work.on_restore_due,
}


class Panel:
    """One stand-in panel with its nodes."""

    name = "pterodactyl"
    mount = "/pterodactyl"

    def __init__(self, frame: Frame, routes: list[Route]) -> None:
        self.frame = frame
        self.routes = routes
        self.settings = Settings()
        self.store = Store(self.now)
        self.limiter = RateLimiter()
        self.rng = random.Random()  # noqa: S311 - picks ports, not secrets
        self.journal: dict[int, deque[tuple[int, str, list[str]]]] = {}
        self.journal_length = 0
        self.notes: deque[str] = deque(maxlen=100)
        self.resets_under_way = 0
        self.is_saved = False
        self.used_links: set[str] = set()
        seed.load(self, {})

    @property
    def url(self) -> str:
        """The panel's base address, as its customers configure it."""
        return self.frame.base_url + self.mount

    def now(self) -> float:
        """The present instant of the sandbox clock, in unix seconds."""
        return self.frame.clock.now()

    def path_of(self, request: HTTPConnection) -> str:
        """The path below the panel's mount, without a trailing slash."""
        return get_route_path(request.scope).rstrip("/") or "/"

    # What the frame keeps, resets and calls.

    def snapshot(self) -> dict[str, Any]:
        """Everything worth keeping across a restart."""
        return {"store": self.store.dump(), "settings": self.settings.dump()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self.store.load(saved["store"])
        known = {each.name for each in fields(Settings)}
        self.settings = Settings(**{name: value for name, value in saved["settings"].items() if name in known})

    def reset(self) -> None:
        """Go back to the seed and the default behaviour; the administrator's keys stay."""
        self.settings = Settings()
        self.limiter.clear()
        self.journal.clear()
        seed.load(self, {})

    def tick(self) -> None:
        """Let the nodes do what is due."""
        if daemon.settle(self) or not self.is_saved:
            self.is_saved = True
            self.frame.state.save(self)

    def commit(self) -> None:
        """Write everything down now, as a database transaction would before a call to a node."""
        self.frame.state.save(self)

    async def close(self) -> None:
        """Nothing runs between ticks."""

    # What the nodes do by themselves.

    def do_due(self, due: Due, server: Server) -> None:
        """Do one planned thing."""
        WORK[due.kind](self, due, server)

    def emit(self, server: Server, event: str, *args: str) -> None:
        """Tell everyone who listens to a server's console."""
        self.journal_length += 1
        entries = self.journal.setdefault(server.id, deque(maxlen=JOURNAL_LENGTH))
        entries.append((self.journal_length, event, list(args)))

    def note(self, text: str) -> None:
        """Keep a remark that only the control state shows."""
        self.notes.append(text)

    # A request's way.

    async def answer(self, request: Request) -> Response:
        """Everything below ``/api``: from the route to the answer, refusals included."""
        daemon.settle(self)
        headers: dict[str, str] = {}
        try:
            response = await self.dispatch(request, headers)
        except PanelError as refused:
            response = answers.refused(self, request, refused)
        except WorkerDied:
            return answers.bad_gateway()
        except Exception:  # as a panel answers what its code did not foresee
            log.exception("%s %s", request.method, self.path_of(request))
            response = answers.refused(self, request, PanelError(500, "ErrorException"))
        response.headers.update(headers)
        return response

    async def dispatch(self, request: Request, headers: dict[str, str]) -> Response:
        """Check a request step by step, in the panel's order, and run its endpoint.

        ``headers`` receives what the answer carries even when it is a refusal. Raises PanelError.
        """
        path = self.path_of(request)
        if self.settings.is_panel_in_maintenance:
            raise PanelError(503, "HttpException", "Service Unavailable")
        route, params = find(self.routes, request.method, path)
        answers.check_browser_session(self, request)
        user, key = keys.authenticate(self, request)
        headers.update(self.count(route.api, user.uuid))
        keys.check_address(key, request)
        body = await request.body()
        call = Call(self, request, params, user, key, body=body)
        call.query = cleaned(parse_query(request.url.query))
        call.fields = {**call.query, **cleaned(parse_body(request, body))}
        keys.check_two_factor(self, user, path)
        keys.check_api(user, key, route.api)
        right = 1 if request.method in {"GET", "HEAD"} else 2
        if route.api == "application" and not call.may(route.resource, right=right):
            raise forbidden()
        return await route.endpoint(call)

    def count(self, api: str, owner: str) -> dict[str, str]:
        """Count a request against its owner's limit. Raises a 429."""
        settings = self.settings
        return self.limiter.count(
            (api, owner), limit=settings.rate_limits[api], seconds=settings.rate_limit_seconds, now=self.now()
        )
