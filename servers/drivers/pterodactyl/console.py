"""The console of a panel's servers: commands by its client API, output by the socket of the server's node."""

import base64
import json
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from core import outside
from servers.drivers.pterodactyl.client import NODE_ERRORS, PanelClient
from servers.drivers.pterodactyl.self_service import client_path
from servers.drivers.self_service import ConsoleAccess, Refused

STOPPED = "HttpException"  # with 502: a command to a server that does not run, which says nothing about the panel


class PanelConsole:
    """The consoles of a panel's servers."""

    _panel: PanelClient

    def send_command(self, identifier: str, command: str) -> None:
        """Type a command. Raises Refused where the server does not run."""
        try:
            path = client_path(identifier, "command")
            self._panel.client_write(path, {"command": command}, node_errors=NODE_ERRORS | {STOPPED})
        except outside.OutsideError as error:
            if error.status == 502 and error.code == STOPPED:
                text = _("The server does not run, so it takes no commands. Start it first.")
                raise Refused(text, status=error.status, code=error.code) from None
            raise

    def console_access(self, identifier: str) -> ConsoleAccess:
        """A token of ten minutes. Raises Rejected where the panel gives another server's."""
        uuid = str(self._panel.client_read(client_path(identifier))["attributes"]["uuid"])
        data = self._panel.client_read(client_path(identifier, "websocket"))["data"]
        token, socket = str(data["token"]), urlsplit(str(data["socket"]))
        is_own = socket.path.endswith(f"/api/servers/{uuid}/ws") and _claims(token).get("server_uuid") == uuid
        if socket.scheme not in {"ws", "wss"} or not is_own:
            raise outside.Rejected("the panel gave the token of another server's console")
        return ConsoleAccess(socket=socket.geturl(), token=token, origin=self._panel.origin)


def _claims(token: str) -> dict[str, Any]:
    """What a token says; the node checks its signature. Empty for anything else."""
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
