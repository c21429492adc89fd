"""The relay of consoles, for nodes that browsers cannot reach: they connect to us, and we to the server's node.

A process of its own (`manage.py console_relay`) with one loop for all sockets: while one is open it holds neither a
thread nor a connection of the database. The panel's token never leaves it. What a browser may send is what reads:
commands and power go through the page's forms, where they are checked and audited.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import auth
from django.db import Error as DatabaseError
from django.db import connections
from django.http import Http404, HttpRequest, parse_cookie
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _

from accounts.middleware import set_tenant, tenant_transaction
from accounts.permissions import Action
from core import outside, tenancy
from core.outside import sockets
from core.sessions import SessionStore
from servers.drivers.self_service import Console
from servers.self_service import operations, results
from servers.self_service.kinds import RELAY_PATH, relay_address
from servers.self_service.pages import server_in

log = logging.getLogger(__name__)
MAX_SOCKETS, MAX_OF_SERVER, MAX_OF_USER = 500, 20, 5  # of this process
MAX_OPENED, OPENED_SECONDS = 20, 60  # of a user and of a server in this time: each asks the panel for a token
MAX_SENT_BYTES = 1024  # of a browser's frame
CHECK_SECONDS = 30  # between looks whether the user may still follow the console
IDLE_SECONDS = 900  # without a frame of either side
SEND_SECONDS = 10  # for a browser to take a frame
BROWSER_PAUSE_SECONDS = 0.1  # after each of its frames; what it sends meanwhile waits in its own machine
BYTES_PER_SECOND = 262_144  # of a node's output; the rest waits at the node
MAX_REASON_BYTES = 123  # of a socket's close
MAX_RENEWALS = 3  # of the token, since the node last took one
FROM_BROWSER = frozenset({"send logs", "send stats"})
WANTS_TOKEN = frozenset({"token expiring", "token expired", "jwt error"})
# Codes of a close: from 4500 on, trying again later may help.
ENDED, SUSPENDED, IDLE, TOO_MANY, NOT_REACHED = 4403, 4409, 4408, 4429, 4503

type Receive = Callable[[], Awaitable[Mapping[str, Any]]]
type Send = Callable[[Mapping[str, Any]], Awaitable[None]]
_database = ThreadPoolExecutor(4, "relay-database")
_providers = ThreadPoolExecutor(8, "relay-providers")  # apart, so that a panel that hangs delays no check
_sockets_of: Counter[UUID] = Counter()  # by user, and by server
_opened_of: Counter[UUID] = Counter()  # lately, also by both


class Ended(Exception):
    """The browser's socket ends, with a code and a sentence for whoever looks at it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class BrowserGone(Exception):
    """The browser has closed its socket."""


@dataclass(frozen=True)
class Visit:
    """A user who may use a server's console, and what asks its panel for a token.

    `refusal` says why there is no console at the moment. `has_asked`: for the relay, by the console's page.
    """

    user_id: UUID
    server_id: UUID
    driver: Console
    identifier: str
    refusal: str
    has_asked: bool


def find_visit(path: str, session_key: str | None) -> Visit | None:
    """Who may use which console now: found as the console's own page does, within what the user may see."""
    try:
        match = resolve(path)
    except Resolver404:
        return None
    if match.view_name != "servers:console":
        return None
    request = HttpRequest()
    request.session = SessionStore(session_key)
    request.user = auth.get_user(request)
    if not request.user.is_authenticated:
        return None
    set_tenant(request, match)
    with tenancy.in_request(request.tenant_context), tenant_transaction(request):  # type: ignore[attr-defined]
        try:
            server = server_in(request, "console", match.kwargs["pk"], Action.SERVER_CONSOLE)
        except Http404:
            return None
        refusal = ""
        try:
            operations.refuse_by_state(server, "console.open")
        except operations.OperationRefused as error:
            refusal = str(error)
        has_asked = results.newest(request, server, "console.open").get("socket") == relay_address(server.pk)
        driver: Any = operations.driver_for(server)
    return Visit(request.user.pk, server.pk, driver, server.identifier, refusal, has_asked)


async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """The ASGI application: a console's socket, at the address of its page below RELAY_PATH."""
    headers = dict(scope["headers"])
    path = scope["path"].removeprefix(RELAY_PATH)
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": HTTPStatus.NOT_FOUND, "headers": []})
        await send({"type": "http.response.body"})
        return
    await receive()
    visit = None
    if headers.get(b"origin", b"").decode("latin-1") in settings.CSRF_TRUSTED_ORIGINS and path != scope["path"]:
        cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
        key = cookies.get(settings.SESSION_COOKIE_NAME)
        visit = await _in(_database, find_visit, path, key)
    if visit is None or not visit.has_asked:
        await send({"type": "websocket.close"})  # before it is accepted: the answer is 403
        return
    await send({"type": "websocket.accept"})
    try:
        with _counted(visit):
            await _Relay(receive, send, path, key, visit).run()
    except Ended as end:
        reason = str(end).encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        await send({"type": "websocket.close", "code": end.code, "reason": reason})
    except BrowserGone:
        log.debug("a console was left")


@contextmanager
def _counted(visit: Visit) -> Iterator[None]:
    """Count the socket. Raises Ended where the process, the user or the server has too many, or had lately."""
    both = (visit.user_id, visit.server_id)
    is_full = sum(_sockets_of.values()) >= 2 * MAX_SOCKETS
    if is_full or _sockets_of[visit.user_id] >= MAX_OF_USER or _sockets_of[visit.server_id] >= MAX_OF_SERVER:
        raise Ended(TOO_MANY, _("Too many consoles are open. Close one, and reload this page."))
    if any(_opened_of[each] >= MAX_OPENED for each in both):
        raise Ended(NOT_REACHED, _("The connection is lost. Trying again…"))
    for each in both:
        _sockets_of[each] += 1
        _opened_of[each] += 1
        asyncio.get_running_loop().call_later(OPENED_SECONDS, _uncount, _opened_of, each)
    try:
        yield
    finally:
        for each in both:
            _uncount(_sockets_of, each)


def _uncount(counts: Counter[UUID], key: UUID) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


async def _in[Result](threads: ThreadPoolExecutor, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call it in a thread, which gives its connections of the database back."""

    def call() -> Result:
        try:
            return function(*arguments)
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(threads, call)


class _Relay:
    """One browser's socket, and the node's."""

    def __init__(self, receive: Receive, send: Send, path: str, session_key: str | None, visit: Visit) -> None:
        self.receive, self.send = receive, send
        self.path, self.session_key, self.visit = path, session_key, visit
        self.renewals = 0
        self.heard_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Carry frames both ways. Raises Ended or BrowserGone when that is over."""
        if self.visit.refusal:
            raise Ended(SUSPENDED, self.visit.refusal)
        try:
            access = await _in(_providers, self.visit.driver.console_access, self.visit.identifier)
            async with sockets.open_socket(access.socket, origin=access.origin) as node:
                await node.send(_frame("auth", access.token))
                running = (self._from_node(node), self._from_browser(node), self._watch())
                tasks = [asyncio.create_task(each) for each in running]
                try:
                    done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    done.pop().result()  # raises why it is over
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        except outside.OutsideError as error:
            log.info("console of %s: %s", self.visit.identifier, error)
            raise Ended(NOT_REACHED, _("The server’s node does not answer at the moment. Trying again…")) from None

    async def _from_node(self, node: sockets.Socket) -> None:
        """Its output. A token that it wants is renewed here, and is no business of the browser's."""
        while True:
            text = await node.receive()
            self.heard_at = asyncio.get_running_loop().time()
            event = _event(text)
            if event in WANTS_TOKEN:
                await self._renew(node, event)
                continue
            if event == "auth success":
                self.renewals = 0
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self.send({"type": "websocket.send", "text": text})
            except OSError:  # which a timeout is, too
                raise BrowserGone from None
            await asyncio.sleep(len(text) / BYTES_PER_SECOND)

    async def _renew(self, node: sockets.Socket, event: str) -> None:
        """Another token for the same socket, if the user may still have one.

        While the old one is valid, an outage of the panel ends nothing.
        """
        await self._check()
        self.renewals += 1
        if self.renewals > MAX_RENEWALS:
            raise outside.Unavailable("the node takes no token")
        try:
            access = await _in(_providers, self.visit.driver.console_access, self.visit.identifier)
        except outside.OutsideError:
            if event != "token expiring":
                raise
            return
        await node.send(_frame("auth", access.token))

    async def _from_browser(self, node: sockets.Socket) -> None:
        """What it asks for; all else is left out."""
        while True:
            message = await self.receive()
            if message["type"] == "websocket.disconnect":
                raise BrowserGone
            self.heard_at = asyncio.get_running_loop().time()
            event = _event(message.get("text") or "")
            if event in FROM_BROWSER:
                await node.send(_frame(event))
            await asyncio.sleep(BROWSER_PAUSE_SECONDS)

    async def _watch(self) -> None:
        """End it where nothing happens, and where the user's session or access ends."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if asyncio.get_running_loop().time() - self.heard_at > IDLE_SECONDS:
                raise Ended(IDLE, _("Nothing happened for a while. Reload this page to follow the console again."))
            await self._check()

    async def _check(self) -> None:
        try:
            visit = await _in(_database, find_visit, self.path, self.session_key)
        except DatabaseError:
            log.exception("a console could not be checked")
            raise Ended(NOT_REACHED, _("The connection is lost. Trying again…")) from None
        # At another provider it is another server's identifier.
        if visit is None or (visit.user_id, visit.identifier) != (self.visit.user_id, self.visit.identifier):
            raise Ended(ENDED, _("You can no longer use this console. Reload this page to see why."))
        if visit.refusal:
            raise Ended(SUSPENDED, visit.refusal)


def _frame(event: str, *arguments: str) -> str:
    return json.dumps({"event": event, "args": arguments})


def _event(text: str) -> str:
    """What a frame is about; empty for what is none."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return str(frame.get("event", "")) if isinstance(frame, dict) else ""
