"""The node daemon: outages as the panel sees them, and what the node does by itself as time goes by."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.pterodactyl.errors import DaemonFailure, WorkerDied
from sandbox.pterodactyl.rows import Due, Node, Server

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel

Work = Callable[[], None]


def mode_of(panel: "Panel", node: Node) -> str:
    """How a node behaves now; counts down a mode that was set for some calls only."""
    settings = panel.settings
    own = settings.node_modes.get(str(node.id))
    if own is not None:
        return own
    mode = settings.node_mode
    if settings.node_mode_calls is not None and mode != "up":
        settings.node_mode_calls -= 1
        if settings.node_mode_calls <= 0:
            settings.node_mode, settings.node_mode_calls = "up", None
    return mode


async def ask(panel: "Panel", node: Node, work: Work) -> None:
    """Have a node do something, as an HTTP call of the panel to it, and wait as long as that takes.

    Raises DaemonFailure when the panel would see the call fail, and WorkerDied when the panel goes down with it.
    """
    settings = panel.settings
    mode = mode_of(panel, node)
    if mode == "panel_dies":
        raise WorkerDied
    if mode == "refuse":
        raise DaemonFailure
    if mode == "error":
        raise DaemonFailure(settings.node_status)
    if mode == "slow":
        await asyncio.sleep(min(settings.node_slow_seconds, settings.node_timeout_seconds))
    work()
    if mode == "hang":
        await asyncio.sleep(settings.node_timeout_seconds)
    if mode in {"hang", "drop"} or (mode == "slow" and settings.node_slow_seconds >= settings.node_timeout_seconds):
        raise DaemonFailure


async def ask_about(panel: "Panel", server: Server, work: Work) -> None:
    """Have the server's node do something to it.

    Raises DaemonFailure, with 404 when the node was never told of the server.
    """

    def on_known_server() -> None:
        if not server.runtime.is_known:
            raise DaemonFailure(404)
        work()

    await ask(panel, panel.store.nodes.must(server.node_id), on_known_server)


async def ask_quietly(panel: "Panel", server: Server, work: Work) -> None:
    """As ``ask_about``, for calls whose failure the panel swallows; it still waits for them."""
    try:
        await ask_about(panel, server, work)
    except DaemonFailure as failure:
        panel.note(f"node call ignored for server {server.id}: {failure}")


def schedule(panel: "Panel", server: Server, kind: str, *, at: float, **detail: object) -> None:
    """Plan what the node will do by itself at an instant of the sandbox clock."""
    panel.store.agenda.add(Due(due_at=at, kind=kind, server_id=server.id, detail=detail))


def cancel(panel: "Panel", server: Server, *kinds: str) -> None:
    """Forget what was planned for a server."""
    for due in panel.store.agenda.where(server_id=server.id):
        if due.kind in kinds:
            panel.store.agenda.remove(due)


def settle(panel: "Panel") -> bool:
    """Do all that is due by the clock, oldest first; whether there was anything."""
    is_changed = False
    while True:
        due = min(
            (each for each in panel.store.agenda if each.due_at <= panel.now()),
            key=lambda each: (each.due_at, each.id),
            default=None,
        )
        if due is None:
            return is_changed
        panel.store.agenda.remove(due)
        server = panel.store.servers.get(due.server_id)
        if server is not None:
            panel.do_due(due, server)
        is_changed = True
