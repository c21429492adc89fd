"""The console socket of a node."""

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from sandbox.pterodactyl import daemon, power, tokens
from sandbox.pterodactyl.errors import DaemonFailure
from sandbox.pterodactyl.rows import Server

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel

BEAT_SECONDS = 0.1
MIB = 1024 * 1024
ADMIN_EVENTS = {"install output"}
SIGNAL_PERMISSIONS = {
    "start": "control.start",
    "stop": "control.stop",
    "kill": "control.stop",
    "restart": "control.restart",
}


def is_origin_allowed(panel: "Panel", origin: str | None) -> bool:
    """Whether the ``Origin`` is the panel's own address or one the node was told of."""
    parts = urlsplit(panel.url)
    return origin in {panel.url, f"{parts.scheme}://{parts.netloc}", *panel.settings.allowed_origins}


class Console:
    """One listener at one server's console."""

    def __init__(self, panel: "Panel", socket: WebSocket, server: Server) -> None:
        self.panel = panel
        self.socket = socket
        self.server = server
        self.claims: dict[str, Any] | None = None
        self.is_warned = False
        self.has_seen_status = False
        self.position = panel.journal_length
        self.stats_at = 0.0
        self.checked_at = panel.now()
        self.chatter_beat = self.beat()

    def beat(self) -> int:
        """The number of the present stretch of chatter."""
        return int(self.panel.now() / self.panel.settings.chatter_seconds)

    async def serve(self) -> None:
        """Listen and tell until the other side leaves or the server is gone."""
        await self.socket.accept()
        teller = asyncio.create_task(self.tell())
        try:
            while True:
                await self.hear(await self.socket.receive_text())
        except WebSocketDisconnect:
            return
        finally:
            teller.cancel()

    async def send(self, event: str, *args: str) -> None:
        """Send one frame; an event without arguments has none."""
        if self.socket.application_state is WebSocketState.CONNECTED:
            frame: dict[str, Any] = {"event": event, "args": list(args)} if args else {"event": event}
            await self.socket.send_json(frame)

    # What comes in.

    async def hear(self, text: str) -> None:
        """Act on one frame; nonsense is ignored."""
        try:
            frame = json.loads(text)
            event, args = str(frame["event"]), [str(each) for each in frame.get("args") or []]
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        daemon.settle(self.panel)
        if event == "auth":
            await self.authenticate(args[0] if args else "")
        elif not self.is_token_good():
            await self.send("jwt error", "jwt: exp claim is invalid" if self.claims else "no jwt present")
        else:
            await self.act(event, args)

    async def authenticate(self, token: str) -> None:
        """Take a token; a later one replaces it without a second status."""
        node = self.panel.store.nodes.must(self.server.node_id)
        try:
            claims = tokens.read(node.token, token, now=self.panel.now())
            if claims.get("server_uuid") != self.server.uuid or "websocket.connect" not in granted(claims):
                raise tokens.BadToken("jwt: missing connect permission")
        except tokens.BadToken as error:
            await self.send("jwt error", str(error))
            return
        self.claims, self.is_warned = claims, False
        await self.send("auth success")
        if not self.has_seen_status:
            self.has_seen_status = True
            self.position = self.panel.journal_length
            await self.send("status", self.server.runtime.state)
            if self.server.runtime.state == "offline":
                await self.send("stats", self.stats())

    def is_token_good(self) -> bool:
        """Whether there is a token whose time is not up."""
        return self.claims is not None and float(self.claims["exp"]) > self.panel.now()

    async def act(self, event: str, args: list[str]) -> None:
        """Do what was asked if the token allows it; otherwise nothing."""
        may = granted(self.claims or {})
        if event == "send logs":
            for line in list(self.server.runtime.console):
                await self.send("console output", line)
        elif event == "send stats":
            await self.send("stats", self.stats())
        elif event == "send command" and args and "control.console" in may:
            self.run_command(args[0])
        elif event == "set state" and args and SIGNAL_PERMISSIONS.get(args[0], "admin.none") in may:
            await self.set_state(args[0])

    def run_command(self, command: str) -> None:
        """Type a command, if there is a process to take it."""
        if self.server.runtime.state != "offline":
            power.run_command(self.panel, self.server, command)

    async def set_state(self, signal: str) -> None:
        """Send a power signal; a node that is busy says so."""
        if self.server.status == "suspended":
            await self.send("daemon error", "server is suspended")
            return
        try:
            power.send_signal(self.panel, self.server, signal)
        except DaemonFailure:
            await self.send("daemon error", "another power action is currently being processed")

    # What goes out.

    async def tell(self) -> None:
        """Pass on what happens, and watch the token's time."""
        with suppress(WebSocketDisconnect):
            while self.panel.store.servers.get(self.server.id) is self.server:
                await asyncio.sleep(BEAT_SECONDS)
                daemon.settle(self.panel)
                await self.watch_token()
                if self.is_token_good():
                    await self.pass_on()
                    await self.tell_stats()
            await self.socket.close()

    async def watch_token(self) -> None:
        """Every so often: warn once shortly before the token's end, and say once that it has ended."""
        settings, now = self.panel.settings, self.panel.now()
        if self.claims is None or now - self.checked_at < min(settings.token_check_seconds, settings.token_seconds):
            return
        self.checked_at = now
        left = float(self.claims["exp"]) - now
        if left <= 0:
            self.claims = None
            await self.send("token expired")
        elif left <= settings.token_warning_seconds and not self.is_warned:
            self.is_warned = True
            await self.send("token expiring")

    async def pass_on(self) -> None:
        """Send what was journalled since the last time, and the game's chatter."""
        may = granted(self.claims or {})
        for position, event, args in list(self.panel.journal.get(self.server.id, ())):
            if position <= self.position:
                continue
            self.position = position
            if event not in ADMIN_EVENTS or "admin.websocket.install" in may:
                await self.send(event, *args)
        beat = self.beat()
        if beat != self.chatter_beat and self.server.runtime.state == "running":
            await self.send("console output", power.chatter(self.server, beat))
        self.chatter_beat = beat

    async def tell_stats(self) -> None:
        """Send the figures of a process that is up."""
        now = self.panel.now()
        if self.server.runtime.state != "offline" and now - self.stats_at >= self.panel.settings.stats_seconds:
            self.stats_at = now
            await self.send("stats", self.stats())

    def stats(self) -> str:
        """The figures, as JSON text."""
        used = power.usage(self.panel, self.server)
        network = {"rx_bytes": used.pop("network_rx_bytes"), "tx_bytes": used.pop("network_tx_bytes")}
        limit = {"memory_limit_bytes": self.server.memory * MIB, "state": self.server.runtime.state}
        return json.dumps({**used, **limit, "network": network})


class Granted(set[str]):
    """Permissions, of which ``*`` contains all but the administrators'."""

    def __contains__(self, wanted: object) -> bool:
        return super().__contains__(wanted) or (super().__contains__("*") and not str(wanted).startswith("admin."))


def granted(claims: dict[str, Any]) -> Granted:
    """What a token allows."""
    return Granted(claims.get("permissions") or [])


async def connect(panel: "Panel", socket: WebSocket, *, node_id: str, server_uuid: str) -> None:
    """Serve a console, or refuse the handshake: wrong origin 403, unknown server 403, a node that is down 403."""
    daemon.settle(panel)
    found = panel.store.servers.where(uuid=server_uuid, node_id=int(node_id) if node_id.isdecimal() else 0)
    is_up = bool(found) and panel.settings.node_modes.get(node_id, panel.settings.node_mode) in {"up", "slow"}
    if not is_up or not found[0].runtime.is_known or not is_origin_allowed(panel, socket.headers.get("origin")):
        await socket.close()
        return
    await Console(panel, socket, found[0]).serve()
