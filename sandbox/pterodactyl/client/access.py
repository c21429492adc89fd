"""Which servers a user of the client API sees, and in which state they may be used."""

from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.errors import PanelError, not_found
from sandbox.pterodactyl.rows import Server

ADMIN_PERMISSIONS = ["*", "admin.websocket.errors", "admin.websocket.install", "admin.websocket.transfer"]


def find_server(call: Call) -> Server:
    """The server of the path, by short or full id.

    Raises a 404 when the user is neither its owner, a subuser, nor a root admin.
    """
    for server in call.panel.store.servers:
        if call.params["server"] in (server.identifier, server.uuid):
            if call.user.is_root_admin or call.user.id in (server.user_id, *server.subusers):
                return server
            break
    raise not_found()


def permissions(call: Call) -> list[str]:
    """What the user may do on a server that they see."""
    return ADMIN_PERMISSIONS if call.user.is_root_admin else ["*"]


def usable_server(call: Call, *, is_console: bool = False) -> Server:
    """The server of the path, in a state that the client API accepts; root admins may open the console in more states.

    Raises a 404 or a 409.
    """
    server = find_server(call)
    node = call.panel.store.nodes.get_or_404(server.node_id)
    refused = {"suspended"}
    if not (is_console and call.user.is_root_admin):
        refused |= {"installing", "install_failed", "restoring_backup"}
    if server.status in refused or node.is_under_maintenance:
        detail = f"This server cannot be used now: {server.status or 'its node is under maintenance'}."
        raise PanelError(409, "ServerStateConflictException", detail)
    return server
