"""The console socket of a node."""

import asyncio
import json
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from sandbox.pterodactyl import jobs, power, tokens
from sandbox.pterodactyl.errors import DaemonError
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Server

PUSH_SECONDS = 0.1
MIB = 1024 * 1024


async def connect(panel: Panel, socket: WebSocket, *, node_id: str, server_uuid: str) -> None:
    """Serve a console, or refuse the handshake with 403: a foreign origin, an unknown server, a node that is out."""
    jobs.run_due(panel)
    is_up = panel.settings.node_mode in {"up", "slow"}
    servers = panel.store.servers.where(uuid=server_uuid)
    if is_up and socket.headers.get("origin") in panel.origins() and servers:
        server = servers[0]
        if str(server.node_id) == node_id and server.runtime.is_known:
            await Console(panel, socket, server).serve()
            return
    await socket.close()


class Console:
    """One connection to one server's console."""

    def __init__(self, panel: Panel, socket: WebSocket, server: Server) -> None:
        self.panel = panel
        self.socket = socket
        self.server = server
        self.claims: dict[str, Any] | None = None
        self.is_warned = False
        self.has_sent_status = False
        self.last_event = panel.event_count
        self.stats_at = 0.0
        self.checked_at = panel.now()
        self.output_period = self.current_period()

    def current_period(self) -> int:
        """The number of the present period of sample output."""
        return int(self.panel.now() / self.panel.settings.output_seconds)

    async def serve(self) -> None:
        """Receive and push frames until the client leaves or the server is deleted."""
        await self.socket.accept()
        pushing = asyncio.create_task(self.push())
        try:
            while True:
                await self.receive(await self.socket.receive_text())
        except WebSocketDisconnect:
            return
        finally:
            pushing.cancel()

    async def send(self, event: str, *args: str) -> None:
        """Send one frame; an event without arguments has no ``args``."""
        if self.socket.application_state is WebSocketState.CONNECTED:
            frame: dict[str, Any] = {"event": event, "args": list(args)} if args else {"event": event}
            await self.socket.send_json(frame)

    async def receive(self, text: str) -> None:
        """Act on one frame; nonsense is ignored."""
        try:
            frame = json.loads(text)
            event, args = str(frame["event"]), [str(each) for each in frame.get("args") or []]
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        jobs.run_due(self.panel)
        server = self.server
        if event == "auth":
            await self.authenticate(args[0] if args else "")
        elif not self.is_token_valid():
            await self.send("jwt error", "jwt: exp claim is invalid" if self.claims else "no jwt present")
        elif event == "send logs":
            for line in list(server.runtime.console):
                await self.send("console output", line)
        elif event == "send stats":
            await self.send("stats", self.stats())
        elif event == "send command" and args and server.runtime.state != "offline":
            power.run_command(self.panel, server, args[0])
        elif event == "set state" and args and args[0] in power.SIGNALS:
            if server.status == "suspended":
                await self.send("daemon error", "server is suspended")
                return
            try:
                power.send_signal(self.panel, server, args[0])
            except DaemonError:
                await self.send("daemon error", "another power action is currently being processed")

    async def authenticate(self, token: str) -> None:
        """Accept a token; a later one replaces it without a second status."""
        node = self.panel.store.nodes.get_or_404(self.server.node_id)
        try:
            claims = tokens.read(self.panel, node, token)
            if claims["server_uuid"] != self.server.uuid or "permissions" not in claims:
                raise tokens.BadToken("jwt: missing connect permission")
        except tokens.BadToken as error:
            await self.send("jwt error", str(error))
            return
        self.claims, self.is_warned = claims, False
        await self.send("auth success")
        if not self.has_sent_status:
            self.has_sent_status = True
            self.last_event = self.panel.event_count
            await self.send("status", self.server.runtime.state)
            if self.server.runtime.state == "offline":
                await self.send("stats", self.stats())

    def is_token_valid(self) -> bool:
        """Whether there is a token whose time is not over."""
        return self.claims is not None and float(self.claims["exp"]) > self.panel.now()

    async def push(self) -> None:
        """Send what happens, and check the token's time."""
        with suppress(WebSocketDisconnect):
            while self.panel.store.servers.get(self.server.id) is self.server:
                await asyncio.sleep(PUSH_SECONDS)
                jobs.run_due(self.panel)
                await self.check_token()
                if self.is_token_valid():
                    await self.push_events()
            await self.socket.close()

    async def check_token(self) -> None:
        """At intervals: warn once shortly before the token's end, and say once that it has ended."""
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

    async def push_events(self) -> None:
        """Send the events since the last time and, while the game runs, sample output and stats."""
        is_admin = self.claims is not None and "admin.websocket.install" in self.claims["permissions"]
        for event in list(self.panel.events.get(self.server.id, ())):
            if event.number > self.last_event:
                self.last_event = event.number
                if event.name != "install output" or is_admin:
                    await self.send(event.name, *event.args)
        period, now, state = self.current_period(), self.panel.now(), self.server.runtime.state
        if period != self.output_period and state == "running":
            await self.send("console output", power.sample_output(self.server, period))
        self.output_period = period
        if state != "offline" and now - self.stats_at >= self.panel.settings.stats_seconds:
            self.stats_at = now
            await self.send("stats", self.stats())

    def stats(self) -> str:
        """The resources in use, as JSON text."""
        used = power.usage(self.panel, self.server)
        network = {"rx_bytes": used.pop("network_rx_bytes"), "tx_bytes": used.pop("network_tx_bytes")}
        limit = {"memory_limit_bytes": self.server.memory * MIB, "state": self.server.runtime.state}
        return json.dumps({**used, **limit, "network": network})
