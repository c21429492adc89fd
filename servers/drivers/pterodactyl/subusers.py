"""Whom a server's owner lets in on the panel, by its client API: it calls them subusers."""

from servers.drivers.pterodactyl.client import PanelClient, items_of
from servers.drivers.pterodactyl.self_service import client_path


class PanelSubusers:
    """The subusers of a panel's servers."""

    _panel: PanelClient

    def guests(self, identifier: str) -> list[str]:
        """The ids of the accounts that were let in."""
        listed = self._panel.client_read(client_path(identifier, "users"))
        return [str(each["uuid"]) for each in items_of(listed)]

    def remove_guest(self, identifier: str, ref: str) -> None:
        """The panel also ends what they have open on the node."""
        self._panel.client_delete(client_path(identifier, "users", ref))
