"""The driver of Pterodactyl panels: servers by the application API, power and usage by the client API."""

import re
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from core import outside
from servers.drivers.base import (
    Account,
    AccountNotFound,
    AccountOwner,
    AlreadyExists,
    Build,
    Capability,
    Inventory,
    Limits,
    NotOnNode,
    PortTaken,
    PowerAction,
    PowerState,
    RemoteServer,
    RemoteState,
    ServerSpec,
    Usage,
    VariablesRefused,
    WrongState,
)
from servers.drivers.pterodactyl import accounts
from servers.drivers.pterodactyl.client import PanelClient, is_not_found, related, validation_errors
from servers.drivers.pterodactyl.inventory import read_inventory
from servers.models import Provider

STATES = {
    None: RemoteState.READY,
    "installing": RemoteState.INSTALLING,
    "install_failed": RemoteState.INSTALL_FAILED,
    "reinstall_failed": RemoteState.REINSTALL_FAILED,
    "suspended": RemoteState.SUSPENDED,
    "restoring_backup": RemoteState.RESTORING,
}
POWER_STATES = {
    "offline": PowerState.OFF,
    "stopped": PowerState.OFF,
    "starting": PowerState.STARTING,
    "running": PowerState.RUNNING,
    "stopping": PowerState.STOPPING,
}
INCLUDE = {"include": "allocations"}
NO_SWAP, IO_WEIGHT = 0, 500
UNLIMITED = -1
MIB = 1024 * 1024
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")


class PterodactylDriver:
    """A Pterodactyl panel. Credentials: `application_key`, and a root admin's `client_key` for power and usage."""

    def __init__(self, provider: Provider) -> None:
        self._panel = PanelClient(provider)
        by_client_key = {Capability.POWER, Capability.USAGE} if self._panel.has_client_key else set()
        self.capabilities = frozenset({Capability.REINSTALL, Capability.RESIZE, Capability.INVENTORY} | by_client_key)

    def account_of(self, owner: AccountOwner) -> Account:
        """The owner's account, created if necessary. One call at a time per provider. Raises AccountConflict."""
        return accounts.account_of(self._panel, owner)

    def find(self, key: UUID) -> RemoteServer | None:
        """The server with our id as its external id; None when the panel says that there is none."""
        try:
            attributes = self._panel.read(f"/servers/external/{key}", INCLUDE)["attributes"]
        except outside.Rejected as error:
            if is_not_found(error):
                return None
            raise
        if str(attributes.get("external_id")).lower() != str(key):
            raise outside.Unavailable("the panel answered with another server than the one asked for")
        return remote_server(attributes)

    def create(self, spec: ServerSpec, build: Build) -> RemoteServer:
        """Create the server once; the answer comes before the install has begun."""
        primary, *additional = (int(ref) for ref in spec.allocations)
        body = {
            **_details(spec),
            "egg": int(build.egg_ref),
            "docker_image": build.image,
            "startup": build.startup,
            "environment": dict(build.environment),
            "limits": _limits(spec.limits),
            "feature_limits": _feature_limits(spec.limits),
            "allocation": {"default": primary, "additional": additional},
            "skip_scripts": False,
            "oom_disabled": False,
            "start_on_completion": True,
        }
        try:
            return remote_server(self._panel.write("POST", "/servers", body)["attributes"])
        except NotOnNode as error:
            # The node answered 404 to the creation: the panel has cleaned up, as after any failure of the node.
            raise outside.Unavailable(str(error), status=error.status, code=error.code) from None
        except outside.Rejected as error:
            raise creation_error(error, spec) from None

    def reinstall(self, server: RemoteServer) -> None:
        """Install again from the start; lifts a suspension. Raises NotOnNode."""
        self._post(server, "reinstall")

    def suspend(self, server: RemoteServer) -> None:
        """Stop it and keep it stopped. Raises NotOnNode."""
        self._post(server, "suspend")

    def resume(self, server: RemoteServer) -> None:
        """Lift a suspension; nothing is started. Raises NotOnNode."""
        self._post(server, "unsuspend")

    def _post(self, server: RemoteServer, command: str) -> None:
        """A call without a body. During a transfer the panel answers 409: that passes."""
        try:
            self._panel.write("POST", f"{_path(server)}/{command}")
        except WrongState as error:
            raise outside.Unavailable(str(error), status=error.status, code=error.code) from None

    def update_details(self, server: RemoteServer, spec: ServerSpec) -> RemoteServer:
        """Replace name, owner and key."""
        self._panel.write("PATCH", f"{_path(server)}/details", _details(spec))
        return self._find_again(spec)

    def resize(self, server: RemoteServer, spec: ServerSpec) -> RemoteServer:
        """Replace the limits and ports. The panel skips ports that it cannot add, so the server is read again."""
        desired, present = set(spec.allocations), server.allocation_refs
        primary = spec.allocations[0] if spec.allocations[0] in present else server.primary_ref
        body = {
            "allocation": int(primary),
            "limits": _limits(spec.limits),
            "feature_limits": _feature_limits(spec.limits),
            "oom_disabled": False,
            "add_allocations": [int(ref) for ref in spec.allocations if ref not in present],
            "remove_allocations": [int(ref) for ref in sorted(present - desired - {primary})],
        }
        self._panel.write("PATCH", f"{_path(server)}/build", body)
        return self._find_again(spec)

    def _find_again(self, spec: ServerSpec) -> RemoteServer:
        found = self.find(spec.key)
        if found is None:
            raise outside.Unknown("the server was deleted while it was changed")
        return found

    def delete(self, server: RemoteServer) -> None:
        """Delete it; already deleted is fine. A node that does not answer keeps it: nothing is forced."""
        try:
            self._panel.write("DELETE", _path(server))
        except outside.Rejected as error:
            if not is_not_found(error):
                raise

    def send_power_action(self, identifier: str, action: PowerAction) -> None:
        """Start, stop, restart or kill it; the panel answers before the node acts. Raises WrongState, NotOnNode."""
        self._panel.client_write(f"{client_path(identifier)}/power", {"signal": action.value})

    def usage(self, identifier: str) -> Usage:
        """What the server uses; the panel caches it for 20 s. Raises WrongState, NotOnNode."""
        attributes = self._panel.client_read(f"{client_path(identifier)}/resources")["attributes"]
        used, state = attributes["resources"], attributes["current_state"]
        if state not in POWER_STATES:
            raise outside.Unavailable(f"a server's power state is {state!r}, which is not known")
        return Usage(
            power_state=POWER_STATES[state],
            cpu_percent=Decimal(used["cpu_absolute"]),
            memory_mib=int(used["memory_bytes"]) // MIB,
            disk_mib=int(used["disk_bytes"]) // MIB,
            received_bytes=int(used["network_rx_bytes"]),
            sent_bytes=int(used["network_tx_bytes"]),
            uptime_seconds=int(used["uptime"]) // 1000,
        )

    def inventory(self) -> Inventory:
        """Everything that the panel has."""
        return read_inventory(self._panel)


def creation_error(error: outside.Rejected, spec: ServerSpec) -> outside.OutsideError:
    """What a refused creation means: the key exists, ports are taken, the owner or a variable is not valid."""
    broken = validation_errors(error)
    if any((each.field, each.rule) == ("external_id", "unique") for each in broken):
        return AlreadyExists(str(error), status=error.status, code=error.code)
    fields = ["allocation.default", *(f"allocation.additional.{index}" for index in range(len(spec.allocations) - 1))]
    refs = dict(zip(fields, spec.allocations, strict=True))
    taken = frozenset(refs[each.field] for each in broken if each.rule == "exists" and each.field in refs)
    if taken:
        return PortTaken(str(error), taken)
    if any((each.field, each.rule) == ("user", "exists") for each in broken):
        return AccountNotFound(str(error), status=error.status, code=error.code)
    # The panel checks an egg's variables after everything else, so they are refused alone.
    refused = {
        each.field.removeprefix("environment."): each.detail for each in broken if each.field.startswith("environment.")
    }
    if refused:
        problems = " ".join(f"{name}: {detail}" for name, detail in refused.items())
        reason = _("The panel refused the game's settings. {problems}").format(problems=problems)
        return VariablesRefused(reason, refused)
    if broken:
        listed = ", ".join(f"{each.field} ({each.rule})" for each in broken)
        reason = _("The panel refused the server: {fields}.").format(fields=listed)
        return outside.Rejected(reason, status=error.status, code=error.code, body=error.body)
    return error


def remote_server(attributes: dict[str, Any]) -> RemoteServer:
    """The server that the panel's attributes describe. Raises Unavailable for a state that is not known here."""
    status = attributes.get("status")
    if status not in STATES:
        raise outside.Unavailable(f"a server's status is {str(status)[:40]!r}, which is not known")
    limits, features = attributes["limits"], attributes["feature_limits"]
    ports = {str(port["id"]) for port in related(attributes, "allocations")}
    return RemoteServer(
        ref=str(attributes["id"]),
        identifier=str(attributes["identifier"]),
        key=str(attributes.get("external_id") or ""),
        name=str(attributes.get("name") or ""),
        account_ref=str(attributes["user"]),
        node_ref=str(attributes["node"]),
        state=STATES[status],
        limits=Limits(
            memory_mib=int(limits["memory"]),
            disk_mib=int(limits["disk"]),
            cpu_percent=int(limits["cpu"]),
            databases=_count(features["databases"]),
            backups=_count(features["backups"]),
        ),
        primary_ref=str(attributes["allocation"]),
        allocation_refs=frozenset(ports | {str(attributes["allocation"])}),
        can_add_ports=features.get("allocations") != 0,
    )


def _count(number: Any) -> int:
    """A feature limit; null means unlimited there, which no spec of ours asks for."""
    return UNLIMITED if number is None else int(number)


def _details(spec: ServerSpec) -> dict[str, Any]:
    """Always all four: the panel erases what is not sent."""
    return {
        "external_id": str(spec.key),
        "name": spec.name,
        "user": int(spec.account.ref),
        "description": "",
    }


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "memory": limits.memory_mib,
        "swap": NO_SWAP,
        "disk": limits.disk_mib,
        "io": IO_WEIGHT,
        "cpu": limits.cpu_percent,
        "threads": None,
    }


def _feature_limits(limits: Limits) -> dict[str, int]:
    """No allocations of the customer's own choice: they would come from the ports that we sell."""
    return {"databases": limits.databases, "backups": limits.backups, "allocations": 0}


def _path(server: RemoteServer) -> str:
    """A path part: the panel's number. Other text could change which call is made."""
    return f"/servers/{int(server.ref)}"


def client_path(identifier: str) -> str:
    """The server in the client API. Other text could change which call is made."""
    if not _IDENTIFIER.fullmatch(identifier):
        raise ValueError("a server's identifier is letters, digits and dashes")
    return f"/servers/{identifier}"
