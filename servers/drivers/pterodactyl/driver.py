"""The driver: our protocol, spoken to a panel."""

from uuid import UUID

from servers.drivers import base
from servers.drivers.base import Account, Build, Capability, Inventory, Person, RemoteServer, ServerSpec, Signal, Usage
from servers.drivers.pterodactyl import accounts, inventory, power, servers
from servers.drivers.pterodactyl.client import PanelClient
from servers.models import Provider


class Pterodactyl:
    """A Pterodactyl panel. Credentials: `application_key`, and the root admin's `client_key` for power and figures."""

    def __init__(self, provider: Provider) -> None:
        self._panel = PanelClient(provider)
        watched = {Capability.POWER, Capability.USAGE} if self._panel.has_client_key else set()
        self.capabilities = frozenset({Capability.REINSTALL, Capability.RESIZE, Capability.INVENTORY} | watched)

    def account_of(self, person: Person) -> Account:
        """The person's account, made if need be. One call at a time per provider. Raises AccountConflict."""
        return accounts.account_of(self._panel, person)

    def find(self, key: UUID) -> RemoteServer | None:
        """What the panel has under our key; None only when it is certainly absent."""
        return servers.find(self._panel, key)

    def create(self, spec: ServerSpec, build: Build) -> RemoteServer:
        """Ask for the server. After Unknown, look before asking again. Raises AlreadyThere, PortTaken, AccountGone."""
        return servers.create(self._panel, spec, build)

    def reinstall(self, server: RemoteServer) -> None:
        """Install again from the start; lifts a suspension. Raises NotOnNode."""
        servers.tell(self._panel, server, "reinstall")

    def resize(self, server: RemoteServer, spec: ServerSpec) -> RemoteServer:
        """Give it the spec's limits and ports; the answer tells which it really has."""
        return servers.resize(self._panel, server, spec)

    def describe(self, server: RemoteServer, spec: ServerSpec) -> RemoteServer:
        """Give it the spec's name, owner and key."""
        return servers.describe(self._panel, server, spec)

    def suspend(self, server: RemoteServer) -> None:
        """Stop it and keep it stopped. Raises NotOnNode."""
        servers.tell(self._panel, server, "suspend")

    def resume(self, server: RemoteServer) -> None:
        """Lift a suspension; nothing is started. Raises NotOnNode."""
        servers.tell(self._panel, server, "unsuspend")

    def delete(self, server: RemoteServer) -> None:
        """Remove it; one that is gone already is fine."""
        servers.delete(self._panel, server)

    def press(self, identifier: str, signal: Signal) -> None:
        """Pass a power signal on. Raises WrongState, NotOnNode."""
        power.press(self._panel, identifier, signal)

    def usage(self, identifier: str) -> Usage:
        """What it uses, at most 20 s old. Raises WrongState, NotOnNode."""
        return power.usage(self._panel, identifier)

    def inventory(self) -> Inventory:
        """Everything the panel has."""
        return inventory.inventory(self._panel)


def make(provider: Provider) -> base.Provider:
    """The driver for a provider's row; here the type checker compares it with the protocol."""
    return Pterodactyl(provider)
