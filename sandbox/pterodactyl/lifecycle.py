"""A server's status: installs and how they end, suspension, reinstall, removal, node restarts."""

from typing import TYPE_CHECKING, Any

from sandbox.pterodactyl import daemon, power
from sandbox.pterodactyl.errors import DaemonFailure
from sandbox.pterodactyl.rows import Due, Node, Server

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel
    from sandbox.pterodactyl.store import Table

FIRST_FILES = {
    "/server.properties": "motd=A game server\nmax-players=20\n",
    "/eula.txt": "eula=true\n",
    "/logs/latest.log": "[00:00:00] Installed\n",
}


def begin_install(panel: "Panel", server: Server, *, is_reinstall: bool) -> None:
    """Let the node install in the background; the settings of this moment decide how it will end."""
    runtime, settings = server.runtime, panel.settings
    runtime.is_known = True
    runtime.is_reinstall = is_reinstall
    daemon.cancel(panel, server, "install", "power")
    power.stop_at_once(panel, server)
    panel.emit(server, "install started")
    panel.emit(server, "install output", f"Installing {server.name} from its egg")
    if settings.install_outcome != "stuck":
        seconds = 0.0 if server.is_skipping_scripts else settings.install_seconds
        daemon.schedule(panel, server, "install", at=panel.now() + seconds, outcome=settings.install_outcome)


def on_install_due(panel: "Panel", due: Due, server: Server) -> None:
    """End an install as planned."""
    outcome = due.detail["outcome"]
    if outcome == "node_restart":
        restart_node(panel, panel.store.nodes.must(server.node_id))
    else:
        finish_install(panel, server, "success" if outcome == "success" else "fail", at=due.due_at)


def finish_install(panel: "Panel", server: Server, outcome: str, *, at: float) -> None:
    """Take the node's report, ``success`` or ``fail``; a suspended server stays suspended either way."""
    failed = "reinstall_failed" if server.runtime.is_reinstall else "install_failed"
    if server.status != "suspended":
        server.status = None if outcome == "success" else failed
    server.installed_at = at
    panel.store.servers.touch(server)
    panel.emit(server, "install output", f"Installation ended: {outcome}")
    panel.emit(server, "install completed")
    if outcome == "success":
        server.runtime.files = {**FIRST_FILES, **server.runtime.files}
    if outcome == "success" and server.runtime.should_start and server.status != "suspended":
        power.start(panel, server, at)
    server.runtime.should_start = False


def restart_node(panel: "Panel", node: Node) -> None:
    """Restart a node's daemon: installs and restores are forgotten and their servers look ready."""
    for server in panel.store.servers.where(node_id=node.id):
        daemon.cancel(panel, server, "install", "restore")
        if server.status in {"installing", "restoring_backup"}:
            server.status = None
            panel.store.servers.touch(server)


async def suspend(panel: "Panel", server: Server) -> None:
    """Stop a server and keep it stopped.

    Raises DaemonFailure; then the status is written as null, whatever it was.
    """
    if server.status == "suspended":
        return
    server.status = "suspended"
    panel.store.servers.touch(server)
    try:
        await daemon.ask_about(panel, server, lambda: power.stop_at_once(panel, server))
    except DaemonFailure:
        server.status = None
        raise


async def unsuspend(panel: "Panel", server: Server) -> None:
    """Lift a suspension; the status becomes null even if the install had failed.

    Raises DaemonFailure; then the server stays suspended.
    """
    if server.status != "suspended":
        return
    server.status = None
    panel.store.servers.touch(server)
    try:
        await daemon.ask_about(panel, server, lambda: None)
    except DaemonFailure:
        server.status = "suspended"
        raise


async def reinstall(panel: "Panel", server: Server) -> None:
    """Run the install again, whatever the status is.

    Raises DaemonFailure, with 409 while a power signal is being acted on; then the status is unchanged.
    """

    def work() -> None:
        if any(due.kind == "power" for due in panel.store.agenda.where(server_id=server.id)):
            raise DaemonFailure(409)
        begin_install(panel, server, is_reinstall=True)

    await daemon.ask_about(panel, server, work)
    server.status = "installing"
    panel.store.servers.touch(server)


async def remove(panel: "Panel", server: Server) -> None:
    """Delete a server from its node, then from the panel.

    Raises DaemonFailure, unless the node merely does not know the server.
    """
    try:
        await daemon.ask_about(panel, server, lambda: forget_on_node(panel, server))
    except DaemonFailure as failure:
        if failure.status != 404:
            raise
    remove_row(panel, server)


async def remove_by_force(panel: "Panel", server: Server) -> None:
    """Delete a server from the panel whatever its node says; an unresponsive node still costs its time."""
    await daemon.ask_quietly(panel, server, lambda: forget_on_node(panel, server))
    remove_row(panel, server)


def forget_on_node(panel: "Panel", server: Server) -> None:
    """Drop what the node has of a server."""
    daemon.cancel(panel, server, "install", "power", "restore", "backup")
    server.runtime.is_known = False
    panel.emit(server, "deleted")


def remove_row(panel: "Panel", server: Server) -> None:
    """Drop the row and all that hangs on it, and free its allocations."""
    store = panel.store
    daemon.cancel(panel, server, "install", "power", "restore", "backup")
    for allocation in store.allocations_of(server):
        allocation.server_id = None
        allocation.notes = None
    tables: tuple[Table[Any], ...] = (store.backups, store.databases, store.subusers, store.schedules, store.activity)
    for table in tables:
        for row in table.where(server_id=server.id):
            table.remove(row)
    store.servers.remove(server)
