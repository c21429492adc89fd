"""The driver of Pterodactyl panels: servers by the application API, power and usage by the client API."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import AddonKind
from core import outside
from core.credentials import CredentialField
from servers.drivers import inventory as remote_inventory
from servers.drivers.abilities import AccountOwner
from servers.drivers.base import (
    Account,
    AccountNotFound,
    Address,
    AlreadyExists,
    Attempt,
    BuildFacts,
    Difference,
    DriverFacts,
    GameBuild,
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
from servers.drivers.pterodactyl import accounts, inventory
from servers.drivers.pterodactyl.client import PanelClient, is_not_found, related, validation_errors
from servers.drivers.pterodactyl.sections import PanelSections
from servers.drivers.pterodactyl.self_service import client_path
from servers.models import Build, Provider, Step

FACTS = DriverFacts(
    label="Pterodactyl",
    builds={
        Build.GAME: BuildFacts(
            min_ports=1,
            addons=frozenset(
                {
                    *(AddonKind.CPU, AddonKind.MEMORY, AddonKind.DISK),
                    *(AddonKind.BACKUPS, AddonKind.DATABASES, AddonKind.PORTS),
                }
            ),
        )
    },
    calls_per_minute=240,
    steps={
        Step.PLACED: gettext_lazy("Node assigned"),
        Step.ACCOUNT: gettext_lazy("Panel account ready"),
        Step.CREATED: gettext_lazy("Server created"),
        Step.INSTALLED: gettext_lazy("Game installed"),
        Step.RUNNING: gettext_lazy("Running"),
    },
    credentials=(
        CredentialField("application_key", gettext_lazy("Application API key"), gettext_lazy("Begins with ptla_.")),
        CredentialField(
            "client_key",
            gettext_lazy("Client API key"),
            gettext_lazy("Begins with ptlc_, of an administrator. Without it there are no power buttons and figures."),
        ),
    ),
    move_instruction=gettext_lazy("On the panel: Servers, the server, Manage, Transfer Server."),
    measures_usage=True,
    usage_max_age=timedelta(seconds=21),  # the panel caches usage for 20 s
    install_starts_server=True,
    reinstall_keeps_data=True,  # the script of an egg runs again over the files that are there
    suspension_hides_install=True,  # the panel has one status, and a suspension replaces it
)
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


class PterodactylDriver:
    """A Pterodactyl panel without a client key. Credentials: `application_key`."""

    facts = FACTS

    def __init__(self, provider: Provider) -> None:
        self._panel = PanelClient(provider)

    def account_of(self, owner: AccountOwner) -> Account:
        """The owner's account, created if necessary. One call at a time per provider. Raises AccountConflict."""
        return accounts.account_of(self._panel, owner)

    def update_account(self, account: Account, owner: AccountOwner) -> Account:
        """Give the account its owner's present address and name. Raises AccountConflict, AccountNotFound."""
        return accounts.update_account(self._panel, account, owner)

    def find(self, spec: ServerSpec, attempts: Sequence[Attempt]) -> RemoteServer | None:
        """The server with our id as its external id, or one of the attempts' where that was erased or changed."""
        if attributes := self._read(f"/servers/external/{spec.key}"):
            if str(attributes.get("external_id")).lower() != str(spec.key):
                raise outside.Unavailable("the panel answered with another server than the one asked for")
            return remote_server(attributes)
        for attempt in attempts:
            attributes = self._read(f"/servers/{int(attempt.ref)}") if attempt.ref else None
            # A panel that was set up anew gives the same numbers to other servers, but not the same random identifier.
            if attributes and attributes["identifier"] == attempt.identifier:
                return remote_server(attributes)
        is_answered = all(attempt.ref or not attempt.number for attempt in attempts)
        if spec.account is None or not spec.allocations or is_answered:
            return None
        # A creation whose answer was lost may have made it, and its id may have been erased or changed since.
        ref = accounts.server_on_port(self._panel, spec.account, spec.allocations[0])
        attributes = self._read(f"/servers/{ref}") if ref else None
        return remote_server(attributes) if attributes else None

    def _read(self, path: str) -> dict[str, Any] | None:
        """A server's attributes; None when the panel says that there is none."""
        try:
            return dict(self._panel.read(path, INCLUDE)["attributes"])
        except outside.Rejected as error:
            if is_not_found(error):
                return None
            raise

    def create(self, spec: ServerSpec) -> RemoteServer:
        """Create the server once; the answer comes before the install has begun."""
        build = spec.build
        if not isinstance(build, GameBuild):
            raise outside.Rejected(_("A Pterodactyl panel builds servers from eggs, and the blueprint names none."))
        primary, *additional = (int(ref) for ref in spec.allocations)
        body = {
            **INCLUDE,
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
            "start_on_completion": build.starts_after_install,
        }
        try:
            return remote_server(self._panel.write("POST", "/servers", body)["attributes"])
        except NotOnNode as error:
            # The node answered 404 to the creation: the panel has cleaned up, as after any failure of the node.
            raise outside.Unavailable(str(error), status=error.status, code=error.code) from None
        except outside.Rejected as error:
            raise creation_error(error, spec) from None

    def reinstall(self, spec: ServerSpec, remote: RemoteServer) -> None:
        """Run the egg's script again, which keeps the files; lifts a suspension. Raises NotOnNode."""
        self._post(remote, "reinstall")

    def suspend(self, remote: RemoteServer) -> None:
        """Stop it and keep it stopped. Raises NotOnNode."""
        self._post(remote, "suspend")

    def resume(self, remote: RemoteServer) -> None:
        """Lift a suspension; nothing is started. Raises NotOnNode."""
        self._post(remote, "unsuspend")

    def _post(self, remote: RemoteServer, command: str) -> None:
        """A call without a body. During a transfer the panel answers 409: that passes."""
        try:
            self._panel.write("POST", f"{_path(remote)}/{command}")
        except WrongState as error:
            raise outside.Unavailable(str(error), status=error.status, code=error.code) from None

    def differences(self, spec: ServerSpec, remote: RemoteServer) -> frozenset[Difference]:
        """The panel's limits include that customers add no ports: they would come from those that we sell."""
        facts, refs = remote.facts, [address.ref for address in remote.addresses]
        differs = {
            Difference.KEY: facts["key"].lower() != str(spec.key),
            Difference.NAME: facts["name"] != spec.name,
            Difference.ACCOUNT: spec.account is not None and facts["account_ref"] != spec.account.ref,
            Difference.SIZE: facts["limits"] != asdict(spec.limits) or facts["can_add_ports"],
            Difference.PORTS: set(refs) != set(spec.allocations) or refs[:1] != [*spec.allocations[:1]],
        }
        return frozenset(difference for difference, is_there in differs.items() if is_there)

    def apply(self, spec: ServerSpec, remote: RemoteServer) -> RemoteServer:
        """Replace limits and ports, or name, owner and key. The answer to the former does not name all ports."""
        if not self.differences(spec, remote) & {Difference.SIZE, Difference.PORTS}:
            self._panel.write("PATCH", f"{_path(remote)}/details", _details(spec))
            return self._read_again(remote)
        desired, present = set(spec.allocations), [address.ref for address in remote.addresses]
        primary = spec.allocations[0] if spec.allocations[0] in present else present[0]
        body = {
            "allocation": int(primary),
            "limits": _limits(spec.limits),
            "feature_limits": _feature_limits(spec.limits),
            "oom_disabled": False,
            "add_allocations": [int(ref) for ref in spec.allocations if ref not in present],
            "remove_allocations": [int(ref) for ref in sorted(set(present) - desired - {primary})],
        }
        self._panel.write("PATCH", f"{_path(remote)}/build", body)
        changed = self._read_again(remote)
        skipped = desired - {address.ref for address in changed.addresses}
        if skipped and changed.node_ref == remote.node_ref:
            raise PortTaken("the panel did not add all ports", frozenset(skipped))
        return changed

    def _read_again(self, remote: RemoteServer) -> RemoteServer:
        attributes = self._read(_path(remote))
        if attributes is None:
            raise outside.Unknown("the server was deleted while it was changed")
        return remote_server(attributes)

    def delete(self, remote: RemoteServer) -> None:
        """Delete it; already deleted is fine. A node that does not answer keeps it: nothing is forced."""
        try:
            self._panel.write("DELETE", _path(remote))
        except outside.Rejected as error:
            if not is_not_found(error):
                raise

    def locations(self) -> Iterator[remote_inventory.RemoteLocation]:
        """Every location."""
        return inventory.locations(self._panel)

    def nodes(self) -> Iterator[remote_inventory.RemoteNode]:
        """Every node."""
        return inventory.nodes(self._panel)

    def servers(self) -> Iterator[remote_inventory.RemoteServerSummary]:
        """Every server, ours or not."""
        return inventory.servers(self._panel)

    def look_up(self, ref: str) -> remote_inventory.RemoteServerSummary | None:
        """The server with this number; None when the panel says that there is none."""
        found = self._read(f"/servers/{int(ref)}")
        return inventory.remote_server_summary(found) if found else None

    def allocations(self) -> Iterator[remote_inventory.RemoteAllocation]:
        """Every port of every node."""
        return inventory.allocations(self._panel)

    def nests(self) -> Iterator[remote_inventory.RemoteNest]:
        """Every nest."""
        return inventory.nests(self._panel)

    def eggs(self) -> Iterator[remote_inventory.RemoteEgg]:
        """Every egg of every nest."""
        return inventory.eggs(self._panel)

    def accounts(self) -> Iterator[remote_inventory.RemoteAccount]:
        """Every account."""
        return inventory.accounts(self._panel)


class PterodactylDriverWithClientKey(PanelSections, PterodactylDriver):
    """A panel with a root admin's `client_key`, for power, usage and what customers do inside their servers."""

    def send_power_action(self, identifier: str, action: PowerAction) -> None:
        """Start, stop, restart or kill it; the panel answers before the node acts. Raises WrongState, NotOnNode."""
        self._panel.client_write(client_path(identifier, "power"), {"signal": action.value})

    def usage(self, identifier: str) -> Usage:
        """What the server uses; the panel caches it for 20 s. Raises WrongState, NotOnNode."""
        attributes = self._panel.client_read(client_path(identifier, "resources"))["attributes"]
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


def connect(provider: Provider) -> PterodactylDriver:
    """The driver of a panel, with the abilities that its keys give."""
    has_client_key = bool((provider.credentials or {}).get("client_key"))
    return PterodactylDriverWithClientKey(provider) if has_client_key else PterodactylDriver(provider)


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
    primary = str(attributes["allocation"])
    addresses = [
        Address(ip=str(port["ip"]), alias=str(port["alias"] or ""), port=int(port["port"]), ref=str(port["id"]))
        for port in related(attributes, "allocations")
    ]
    return RemoteServer(
        ref=str(attributes["id"]),
        identifier=str(attributes["identifier"]),
        state=STATES[status],
        addresses=tuple(sorted(addresses, key=lambda address: (address.ref != primary, address.ip, address.port))),
        node_ref=str(attributes["node"]),
        facts={
            "key": str(attributes.get("external_id") or ""),
            "name": str(attributes.get("name") or ""),
            "account_ref": str(attributes["user"]),
            "limits": {
                "memory_mib": int(limits["memory"]),
                "disk_mib": int(limits["disk"]),
                "cpu_percent": int(limits["cpu"]),
                "databases": _count(features["databases"]),
                "backups": _count(features["backups"]),
            },
            "can_add_ports": features.get("allocations") != 0,
        },
    )


def _count(number: Any) -> int:
    """A feature limit; null means unlimited there, which no spec of ours asks for."""
    return UNLIMITED if number is None else int(number)


def _details(spec: ServerSpec) -> dict[str, Any]:
    """Always all four: the panel erases what is not sent. Raises AccountNotFound for a spec without an account."""
    if spec.account is None:
        raise AccountNotFound("the owner has no account on the panel")
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


def _path(remote: RemoteServer) -> str:
    """A path part: the panel's number. Other text could change which call is made."""
    return f"/servers/{int(remote.ref)}"
