"""The node daemon as the panel reaches it: calls with their outages, and the work that the node ends later."""

import asyncio
from collections.abc import Callable

from sandbox.pterodactyl.errors import DaemonError, WorkerDied
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Job, Server

Work = Callable[[], None]


async def call(panel: Panel, work: Work) -> None:
    """Have a node do some work, in the time and with the outcome that the node mode says.

    Raises DaemonError when the panel sees the call fail, and WorkerDied when the panel's process ends with it.
    """
    settings = panel.settings
    mode = settings.node_mode
    if settings.node_mode_calls is not None and mode != "up":
        settings.node_mode_calls -= 1
        if settings.node_mode_calls <= 0:
            settings.node_mode, settings.node_mode_calls = "up", None
    if mode == "panel_dies":
        raise WorkerDied
    if mode == "refuse":
        raise DaemonError
    if mode == "error":
        raise DaemonError(settings.node_status)
    if mode == "slow":
        await asyncio.sleep(min(settings.node_slow_seconds, settings.node_timeout_seconds))
    work()
    if mode == "hang":
        await asyncio.sleep(settings.node_timeout_seconds)
    if mode in {"hang", "drop"} or (mode == "slow" and settings.node_slow_seconds >= settings.node_timeout_seconds):
        raise DaemonError


async def call_for(panel: Panel, server: Server, work: Work) -> None:
    """Have the node do some work on a server that it should know.

    Raises DaemonError, with 404 when the node does not know the server, and WorkerDied.
    """

    def work_on_known_server() -> None:
        if not server.runtime.is_known:
            raise DaemonError(404)
        work()

    await call(panel, work_on_known_server)


def schedule_job(panel: Panel, server: Server, kind: str, *, at: float, **detail: object) -> None:
    """Plan work that ends at an instant of the sandbox clock."""
    panel.store.jobs.add(Job(due_at=at, kind=kind, server_id=server.id, detail=detail))


def cancel_jobs(panel: Panel, server: Server, *kinds: str) -> None:
    """Forget the planned work of these kinds."""
    for job in panel.store.jobs.where(server_id=server.id):
        if job.kind in kinds:
            panel.store.jobs.remove(job)
