"""A game server's process: power signals, its console output, and the resources it uses."""

import math
from typing import Any

from sandbox.pterodactyl import daemon
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Job, Server

SIGNALS = ("start", "stop", "restart", "kill")
MIB = 1024 * 1024
LINES_KEPT = 200
HYTALE_TOKEN = "HYTALE_SERVER_SESSION_TOKEN"  # noqa: S105 - the name of a variable
UNLIMITED_MEMORY_MIB = 4096
SAMPLE_OUTPUT = (
    "Saved the world in {n} ms",
    "{n} of 20 players online",
    "Tick took {n} ms, keeping up",
    "Autosave in {n} seconds",
    "Garbage collected {n} chunks",
)


def send_signal(panel: Panel, server: Server, signal: str) -> None:
    """Begin what a power signal asks for; it ends later.

    One that comes while an earlier one is carried out waits for its end, except ``kill``.
    """
    running = panel.store.jobs.where(server_id=server.id, kind="power")
    if signal != "kill" and running:
        running[0].detail["queued"] = [*running[0].detail.get("queued", []), signal]
        return
    daemon.cancel_jobs(panel, server, "power")
    at = panel.now()
    is_offline = server.runtime.state == "offline"
    if signal == "kill":
        change_state(panel, server, "offline", at)
    elif signal in {"start", "restart"} and is_offline:
        start(panel, server, at)
    elif signal in {"stop", "restart"} and not is_offline:
        change_state(panel, server, "stopping", at)
        ends_at = at + panel.settings.power_seconds
        daemon.schedule_job(panel, server, "power", at=ends_at, state="offline", is_restart=signal == "restart")


def start(panel: Panel, server: Server, at: float) -> None:
    """Begin to boot; the state is running ``power_seconds`` later."""
    change_state(panel, server, "starting", at)
    write_line(panel, server, f"container@pterodactyl~ {server.startup}")
    if HYTALE_TOKEN in server.environment:
        is_signed_in = panel.frame.is_session_live(server.environment[HYTALE_TOKEN])
        write_line(panel, server, "Hytale Server Booted" if is_signed_in else "No valid token: /auth login device")
    ends_at = at + panel.settings.power_seconds
    daemon.schedule_job(panel, server, "power", at=ends_at, state="running", is_restart=False)


def stop_now(panel: Panel, server: Server) -> None:
    """End the process at once, as for a suspension or a reinstall."""
    daemon.cancel_jobs(panel, server, "power")
    if server.runtime.state != "offline":
        change_state(panel, server, "offline", panel.now())


def end_power_change(panel: Panel, job: Job, server: Server) -> None:
    """Reach the state that a signal asked for."""
    change_state(panel, server, job.detail["state"], job.due_at)
    if job.detail["state"] == "running":
        write_line(panel, server, "Server marked as running.")
    if job.detail["is_restart"]:
        start(panel, server, job.due_at)
    for signal in job.detail.get("queued", []):
        send_signal(panel, server, signal)


def change_state(panel: Panel, server: Server, state: str, at: float) -> None:
    """Enter a power state and publish it on the console."""
    server.runtime.state = state
    server.runtime.since_at = at
    panel.emit(server, "status", state)


def write_line(panel: Panel, server: Server, line: str) -> None:
    """Print a line on the console; only the latest are kept."""
    server.runtime.console.append(line)
    del server.runtime.console[:-LINES_KEPT]
    panel.emit(server, "console output", line)


def run_command(panel: Panel, server: Server, command: str) -> None:
    """Type a command on the console."""
    write_line(panel, server, f"> {command}")
    write_line(panel, server, f"[{server.name}] done: {command}")


def sample_output(server: Server, period: int) -> str:
    """The line that a running game prints in this period of time, the same on every socket."""
    number = (period * 2654435761 + int(server.identifier, 16)) % 997
    return SAMPLE_OUTPUT[number % len(SAMPLE_OUTPUT)].format(n=number % 21)


def wave(server: Server, now: float, seconds: float) -> float:
    """A figure from 0 to 1 that swings with the clock, with another phase for each server."""
    phase = int(server.identifier, 16) % 628 / 100
    return (math.sin(now * 2 * math.pi / seconds + phase) + 1) / 2


def usage(panel: Panel, server: Server) -> dict[str, Any]:
    """What the process uses now: bytes, cpu percent of one thread, uptime in milliseconds."""
    now, runtime = panel.now(), server.runtime
    is_up = runtime.state != "offline"
    up_seconds = max(0.0, now - runtime.since_at) if is_up else 0.0
    warm_up = min(1.0, 0.4 + up_seconds / 300)
    memory = (server.memory or UNLIMITED_MEMORY_MIB) * MIB * warm_up * (0.45 + 0.12 * wave(server, now, 240))
    cpu = (server.cpu or 100) * (0.12 + 0.35 * wave(server, now, 75) * wave(server, now, 17))
    traffic = up_seconds * (900 + int(server.identifier[:3], 16))
    # The game itself takes a share of the disk besides the few files that the stand-in keeps.
    share = 0.12 + int(server.identifier[:4], 16) % 100 / 1000 if server.installed_at else 0
    game = (server.disk or UNLIMITED_MEMORY_MIB) * MIB * share
    return {
        "memory_bytes": int(memory) if is_up else 0,
        "cpu_absolute": round(cpu, 3) if is_up else 0,
        "disk_bytes": int(game) + sum(len(text) for text in runtime.files.values()),
        "network_rx_bytes": int(traffic),
        "network_tx_bytes": int(traffic * 2.3),
        "uptime": int(up_seconds * 1000),
    }
