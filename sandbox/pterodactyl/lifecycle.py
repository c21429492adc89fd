"""A server's status: installs and how they end, suspension, reinstall, removal, node restarts."""

from contextlib import suppress
from typing import Any

from sandbox.pterodactyl import daemon, power
from sandbox.pterodactyl.errors import DaemonError
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Job, Node, Server
from sandbox.pterodactyl.store import Table

FIRST_FILES = {
    "/server.properties": "motd=A game server\nmax-players=20\n",
    "/eula.txt": "eula=true\n",
    "/logs/latest.log": "[00:00:00] Installed\n",
}


def begin_install(panel: Panel, server: Server, *, is_reinstall: bool) -> None:
    """Let the node install in the background; the settings of this moment say how it will end."""
    runtime, settings = server.runtime, panel.settings
    runtime.is_known = True
    runtime.is_reinstall = is_reinstall
    daemon.cancel_jobs(panel, server, "install", "power")
    power.stop_now(panel, server)
    panel.emit(server, "install started")
    panel.emit(server, "install output", f"Installing {server.name} from its egg")
    if settings.install_outcome != "stuck":
        seconds = 0.0 if server.is_skipping_scripts else settings.install_seconds
        daemon.schedule_job(panel, server, "install", at=panel.now() + seconds, outcome=settings.install_outcome)


def end_install(panel: Panel, job: Job, server: Server) -> None:
    """End an install as the settings said when it began; a suspended server stays suspended either way."""
    outcome = job.detail["outcome"]
    if outcome == "node_restart":
        restart_node(panel, panel.store.nodes.get_or_404(server.node_id))
        return
    is_suspended = server.status == "suspended"
    if not is_suspended:
        failed = "reinstall_failed" if server.runtime.is_reinstall else "install_failed"
        server.status = None if outcome == "success" else failed
    server.installed_at = job.due_at
    panel.store.servers.touch(server)
    panel.emit(server, "install output", f"Installation ended: {outcome}")
    panel.emit(server, "install completed")
    if outcome == "success":
        server.runtime.files = {**FIRST_FILES, **server.runtime.files}
        if server.runtime.should_start and not is_suspended:
            power.start(panel, server, job.due_at)
    server.runtime.should_start = False


def restart_node(panel: Panel, node: Node) -> None:
    """Restart a node's daemon: its installs and restores stop, and their servers look ready."""
    for server in panel.store.servers.where(node_id=node.id):
        daemon.cancel_jobs(panel, server, "install", "restore")
        if server.status in {"installing", "restoring_backup"}:
            server.status = None
            panel.store.servers.touch(server)


def transfer(panel: Panel, server: Server, node: Node) -> None:
    """Move a server to another node: from then on it has as many ports there, and none of the old node's.

    Raises LookupError where the node has not so many free ports.
    """
    store = panel.store
    held = store.allocations_of(server)
    free = store.allocations.where(node_id=node.id, server_id=None)[: len(held)]
    if len(free) < len(held):
        raise LookupError("the node has not enough free allocations")
    for allocation in held:
        allocation.server_id, allocation.notes = None, None
    for allocation in free:
        allocation.server_id = server.id
    server.node_id, server.allocation_id = node.id, free[0].id
    store.servers.touch(server)


async def suspend(panel: Panel, server: Server) -> None:
    """Stop a server and keep it stopped.

    Raises DaemonError; then the status is written as null, whatever it was.
    """
    if server.status == "suspended":
        return
    server.status = "suspended"
    panel.store.servers.touch(server)
    try:
        await daemon.call_for(panel, server, lambda: power.stop_now(panel, server))
    except DaemonError:
        server.status = None
        raise


async def unsuspend(panel: Panel, server: Server) -> None:
    """Lift a suspension; the status becomes null even if the install had failed.

    Raises DaemonError; then the server stays suspended.
    """
    if server.status != "suspended":
        return
    server.status = None
    panel.store.servers.touch(server)
    try:
        await daemon.call_for(panel, server, lambda: None)
    except DaemonError:
        server.status = "suspended"
        raise


async def reinstall(panel: Panel, server: Server) -> None:
    """Run the install again, whatever the status is.

    Raises DaemonError, with 409 while a power signal is carried out; then the status is unchanged.
    """

    def work() -> None:
        if panel.store.jobs.where(server_id=server.id, kind="power"):
            raise DaemonError(409)
        begin_install(panel, server, is_reinstall=True)

    await daemon.call_for(panel, server, work)
    server.status = "installing"
    panel.store.servers.touch(server)


async def remove(panel: Panel, server: Server) -> None:
    """Delete a server from its node, then from the panel.

    Raises DaemonError, except when the node does not know the server.
    """
    try:
        await daemon.call_for(panel, server, lambda: remove_from_node(panel, server))
    except DaemonError as failure:
        if failure.status != 404:
            raise
    remove_row(panel, server)


async def remove_by_force(panel: Panel, server: Server) -> None:
    """Delete a server from the panel whatever its node answers, after waiting for that answer."""
    with suppress(DaemonError):
        await daemon.call_for(panel, server, lambda: remove_from_node(panel, server))
    remove_row(panel, server)


def remove_from_node(panel: Panel, server: Server) -> None:
    """Remove a server from its node."""
    daemon.cancel_jobs(panel, server, "install", "power", "restore", "backup")
    server.runtime.is_known = False
    panel.emit(server, "deleted")


def remove_row(panel: Panel, server: Server) -> None:
    """Delete the row with its backups, databases and schedules, and free its allocations."""
    store = panel.store
    daemon.cancel_jobs(panel, server, "install", "power", "restore", "backup")
    for allocation in store.allocations_of(server):
        allocation.server_id = None
        allocation.notes = None
    tables: tuple[Table[Any], ...] = (store.backups, store.databases, store.schedules)
    for table in tables:
        for row in table.where(server_id=server.id):
            table.remove(row)
    store.servers.remove(server)
