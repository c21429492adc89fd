"""The ports of a panel's servers, by its client API."""

from servers.drivers.pterodactyl.client import PanelClient, items_of
from servers.drivers.pterodactyl.self_service import client_path
from servers.drivers.self_service import RemotePort


class PanelNetwork:
    """The ports of a panel's servers. Which they are, and which is the main one, is ours: they are sold."""

    _panel: PanelClient

    def ports(self, identifier: str) -> list[RemotePort]:
        """Every port of the server, the main one first."""
        found = [
            RemotePort(
                ref=str(each["id"]),
                host=str(each["ip_alias"] or each["ip"]),
                port=int(each["port"]),
                note=str(each["notes"] or ""),
                is_main=bool(each["is_default"]),
            )
            for each in items_of(self._panel.client_read(client_path(identifier, "network", "allocations")))
        ]
        return sorted(found, key=lambda port: (not port.is_main, port.host, port.port))

    def note_port(self, identifier: str, ref: str, note: str) -> None:
        """Keep a note beside a port."""
        self._panel.client_write(client_path(identifier, "network", "allocations", ref), {"notes": note})
