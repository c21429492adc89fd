"""Who may do what on a server through the client API, and in which state."""

from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.errors import forbidden, missing, wrong_state
from sandbox.pterodactyl.rows import Activity, Server, Subuser

EVERYTHING = ["*"]


def find(call: Call) -> Server:
    """The server of the path, by short or full id. Raises a 404 when the user may not see it."""
    wanted = call.params["server"]
    for server in call.panel.store.servers:
        if wanted in (server.identifier, server.uuid):
            if is_visible(call, server):
                return server
            break
    raise missing()


def part_of(call: Call, server: Server) -> Subuser | None:
    """The user's part in someone else's server."""
    found = call.panel.store.subusers.where(server_id=server.id, user_id=call.user.id)
    return found[0] if found else None


def is_visible(call: Call, server: Server) -> bool:
    """Owner, subuser or root admin."""
    return call.user.is_root_admin or server.user_id == call.user.id or part_of(call, server) is not None


def permissions(call: Call, server: Server) -> list[str]:
    """What the user may do on a server they can see."""
    if call.user.is_root_admin:
        return [*EVERYTHING, "admin.websocket.errors", "admin.websocket.install", "admin.websocket.transfer"]
    part = part_of(call, server)
    return EVERYTHING if server.user_id == call.user.id or part is None else part.permissions


def refuse_blocked(call: Call, server: Server, *, is_console: bool) -> None:
    """Raise a 409 in a state that closes the client API; root admins may still open the console in some."""
    node = call.panel.store.nodes.must(server.node_id)
    if server.status == "suspended" or node.is_under_maintenance:
        raise wrong_state("This server is currently suspended or its node is under maintenance.")
    is_excused = is_console and call.user.is_root_admin
    if server.status in {"installing", "install_failed", "restoring_backup"} and not is_excused:
        raise wrong_state(f"This server is currently in an unsupported state: {server.status}.")


def server_for(call: Call, permission: str, *, is_console: bool = False) -> Server:
    """The server of the path, ready for a call that needs a permission.

    Raises a 404, a 409 or a 403.
    """
    server = find(call)
    refuse_blocked(call, server, is_console=is_console)
    granted = permissions(call, server)
    if "*" not in granted and permission not in granted:
        raise forbidden()
    return server


def log(call: Call, server: Server, event: str) -> None:
    """Add a line to the server's activity log."""
    address = call.request.client.host if call.request.client else ""
    call.panel.store.activity.add(Activity(server_id=server.id, user_id=call.user.id, event=event, ip=address))
