"""How customers reach the files of a panel's servers, and installing again, by its client API."""

from servers.drivers.pterodactyl.client import PanelClient
from servers.drivers.pterodactyl.self_service import client_path
from servers.drivers.self_service import RemoteSftp


class PanelSettings:
    """What the settings of a panel's servers show and do."""

    _panel: PanelClient

    def sftp(self, identifier: str, username: str) -> RemoteSftp:
        """The node's SFTP; its users are those of the panel, with the server's identifier behind."""
        details = self._panel.client_read(client_path(identifier))["attributes"]["sftp_details"]
        return RemoteSftp(str(details["ip"]), int(details["port"]), f"{username}.{identifier}" if username else "")

    def install_again(self, identifier: str) -> None:
        """Run the egg's script again, over the files that are there."""
        self._panel.client_write(client_path(identifier, "settings", "reinstall"), {})
