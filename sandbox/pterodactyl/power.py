"""A game server's process: power signals, what it prints, and the figures it uses."""

import math
from typing import TYPE_CHECKING, Any

from sandbox.pterodactyl import daemon
from sandbox.pterodactyl.errors import DaemonFailure
from sandbox.pterodactyl.rows import Due, Server

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel

SIGNALS = ("start", "stop", "restart", "kill")
MIB = 1024 * 1024
CONSOLE_KEPT = 200
UNLIMITED_MEMORY_MIB = 4096
CHATTER = (
    "Saved the world in {n} ms",
    "{n} of 20 players online",
    "Tick took {n} ms, keeping up",
    "Autosave in {n} seconds",
    "Garbage collected {n} chunks",
)


def send_signal(panel: "Panel", server: Server, signal: str) -> None:
    """Let the node act on a power signal; the outcome comes later.

    Raises DaemonFailure with 409 while an earlier signal is being acted on, unless this one kills.
    """
    is_busy = bool([due for due in panel.store.agenda.where(server_id=server.id) if due.kind == "power"])
    if is_busy and signal != "kill":
        raise DaemonFailure(409)
    daemon.cancel(panel, server, "power")
    at = panel.now()
    if signal == "kill":
        change_state(panel, server, "offline", at)
    elif signal == "start" and server.runtime.state == "offline":
        start(panel, server, at)
    elif signal in {"stop", "restart"} and server.runtime.state != "offline":
        change_state(panel, server, "stopping", at)
        then = "start" if signal == "restart" else ""
        daemon.schedule(panel, server, "power", at=at + panel.settings.power_seconds, state="offline", then=then)
    elif signal == "restart":
        start(panel, server, at)


def start(panel: "Panel", server: Server, at: float) -> None:
    """Begin to boot; running comes ``power_seconds`` later."""
    change_state(panel, server, "starting", at)
    write_line(panel, server, f"container@pterodactyl~ {server.startup}")
    daemon.schedule(panel, server, "power", at=at + panel.settings.power_seconds, state="running", then="")


def stop_at_once(panel: "Panel", server: Server) -> None:
    """End the process without ado, as for a suspension or a reinstall."""
    daemon.cancel(panel, server, "power")
    if server.runtime.state != "offline":
        change_state(panel, server, "offline", panel.now())


def on_due(panel: "Panel", due: Due, server: Server) -> None:
    """Reach the state a signal was sent for."""
    change_state(panel, server, due.detail["state"], due.due_at)
    if due.detail["state"] == "running":
        write_line(panel, server, "Server marked as running.")
    if due.detail["then"] == "start":
        start(panel, server, due.due_at)


def change_state(panel: "Panel", server: Server, state: str, at: float) -> None:
    """Enter a power state and tell the console."""
    server.runtime.state = state
    server.runtime.since_at = at
    panel.emit(server, "status", state)


def write_line(panel: "Panel", server: Server, line: str) -> None:
    """Print a line on the console; only the latest are kept."""
    server.runtime.console.append(line)
    del server.runtime.console[:-CONSOLE_KEPT]
    panel.emit(server, "console output", line)


def run_command(panel: "Panel", server: Server, command: str) -> None:
    """Type a command on the console."""
    write_line(panel, server, f"> {command}")
    write_line(panel, server, f"[{server.name}] done: {command}")


def chatter(server: Server, beat: int) -> str:
    """The line a running game prints at a beat of the clock, the same for every listener."""
    number = (beat * 2654435761 + int(server.identifier, 16)) % 997
    return CHATTER[number % len(CHATTER)].format(n=number % 21)


def wave(server: Server, now: float, seconds: float) -> float:
    """A figure from 0 to 1 that swings with the clock, out of step with other servers."""
    phase = int(server.identifier, 16) % 628 / 100
    return (math.sin(now * 2 * math.pi / seconds + phase) + 1) / 2


def disk_bytes(server: Server) -> int:
    """What the server's files take; a game of some size lies below them."""
    share = 0.12 + int(server.identifier[:4], 16) % 100 / 1000
    base = (server.disk or UNLIMITED_MEMORY_MIB) * MIB * share if server.installed_at else 0
    return int(base) + sum(len(text) for text in server.runtime.files.values())


def usage(panel: "Panel", server: Server) -> dict[str, Any]:
    """What the process uses now: bytes, cpu percent of one thread, uptime in milliseconds."""
    now, runtime = panel.now(), server.runtime
    is_up = runtime.state in {"starting", "running", "stopping"}
    up_seconds = max(0.0, now - runtime.since_at) if is_up else 0.0
    warmth = min(1.0, 0.4 + up_seconds / 300)
    memory = (server.memory or UNLIMITED_MEMORY_MIB) * MIB * warmth * (0.45 + 0.12 * wave(server, now, 240))
    cpu = (server.cpu or 100) * (0.12 + 0.35 * wave(server, now, 75) * wave(server, now, 17))
    traffic = up_seconds * (900 + int(server.identifier[:3], 16))
    return {
        "memory_bytes": int(memory) if is_up else 0,
        "cpu_absolute": round(cpu, 3) if is_up else 0,
        "disk_bytes": disk_bytes(server),
        "network_rx_bytes": int(traffic),
        "network_tx_bytes": int(traffic * 2.3),
        "uptime": int(up_seconds * 1000),
    }
