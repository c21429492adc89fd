"""The driver of VirtFusion: virtual machines that are created and built in two steps, without a key of ours."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
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
    Attempt,
    BuildFacts,
    Difference,
    DriverFacts,
    MachineBuild,
    PowerAction,
    RemoteServer,
    ServerSpec,
    Usage,
)
from servers.drivers.machines import machine_build
from servers.drivers.virtfusion import accounts, inventory, objects
from servers.drivers.virtfusion.client import PanelClient, is_gone, number
from servers.models import Build, Provider, Step

log = logging.getLogger(__name__)
FACTS = DriverFacts(
    label="VirtFusion",
    builds={Build.MACHINE: BuildFacts(addons=frozenset({AddonKind.CPU, AddonKind.MEMORY}))},
    calls_per_minute=120,
    steps={
        Step.PLACED: gettext_lazy("Location chosen"),
        Step.ACCOUNT: gettext_lazy("Panel account ready"),
        Step.CREATED: gettext_lazy("Machine reserved"),
        Step.INSTALLED: gettext_lazy("System installed"),
        Step.RUNNING: gettext_lazy("Running"),
    },
    credentials=(
        CredentialField(
            "token",
            gettext_lazy("API token"),
            gettext_lazy("Of the admin area, with the permissions for servers, users, SSH keys and compute."),
        ),
    ),
    lost_answer_wait=timedelta(minutes=2),  # a new server may be missing in the lists for a while
)
ACTIONS = {
    PowerAction.START: "boot",
    PowerAction.STOP: "shutdown",
    PowerAction.RESTART: "restart",
    PowerAction.KILL: "poweroff",
}
# What another package changes; the disk only grows.
PACKAGE_PARTS = (
    *("backupPlan", "cpu", "memory", "primaryNetworkInboundSpeed", "primaryNetworkOutboundSpeed"),
    *("primaryNetworkTraffic", "primaryDiskReadIOPS", "primaryDiskWriteIOPS"),
    *("primaryDiskReadThroughput", "primaryDiskWriteThroughput"),
)
CONFIGURATION: Mapping[str, int | None] = {"ipv4": 1, "storage_type": None}


class VirtFusionDriver:
    """A control server. Credentials: `token`. Configuration: `ipv4`, the number of addresses of a machine, and
    `storage_type`, the type of storage that the packages name; without it they use the local one.
    """

    facts = FACTS

    def __init__(self, provider: Provider) -> None:
        self._panel = PanelClient(provider)
        self._configuration = configuration_of(provider)

    def account_of(self, owner: AccountOwner) -> Account:
        """The owner's account, created if necessary. One call at a time per provider. Raises AccountConflict."""
        return accounts.account_of(self._panel, owner)

    def update_account(self, account: Account, owner: AccountOwner) -> Account:
        """Give the account its owner's present address and name. Raises AccountConflict, AccountNotFound."""
        return accounts.update_account(self._panel, account, owner)

    def find(self, spec: ServerSpec, attempts: Sequence[Attempt]) -> RemoteServer | None:
        """The server of an attempt, or with our key in its name, or the one that is new since a lost answer.

        Raises Rejected where it cannot be told which it is: nothing may be created then.
        """
        for attempt in attempts:
            remote = self._remote(attempt.ref) if attempt.ref else None
            if remote is not None and remote.identifier == attempt.identifier:
                return remote
        if spec.account is None:
            return None
        try:
            listed = accounts.servers_of(self._panel, spec.account)
        except AccountNotFound:
            return None
        keyed = [each for each in listed if objects.key_and_name(each)[0] == str(spec.key)]
        if len(keyed) > 1:
            raise outside.Rejected(_("{count} servers carry the id of this one.").format(count=len(keyed)))
        if keyed:
            return self._remote(str(keyed[0]["id"]))
        note = next((attempt.note for attempt in attempts if attempt.note), None)
        return self._new_since(note, listed) if note else None

    def _new_since(self, note: Mapping[str, Any], listed: Sequence[Mapping[str, Any]]) -> RemoteServer | None:
        """The server that a creation made whose answer was lost: nobody's, never built, and of the size asked for."""
        new = [self._server(str(each["id"])) for each in listed if each["id"] not in note["servers"]]
        found = [
            each
            for each in new
            if each and not each["built"] and not each["buildFailed"] and not objects.key_and_name(each)[0]
        ]
        if not found:
            return None
        if len(found) > 1 or objects.resources_of(found[0]) != note["resources"]:
            numbers = ", ".join(str(each["id"]) for each in found)
            reason = _("It is not known whether server {numbers} is this one. Delete or rename there what is not.")
            raise outside.Rejected(reason.format(numbers=numbers))
        return objects.remote_server(found[0])

    def before_create(self, spec: ServerSpec) -> Mapping[str, Any]:
        """The account's servers, and a dry run: what the panel refuses is known before anything is asked for."""
        body = self._creation(spec)
        listed = accounts.servers_of(self._panel, _account(spec))
        self._panel.write("POST", "/servers", body, {"dryRun": "true"})
        return {"servers": [int(each["id"]) for each in listed], "resources": objects.resources_for(spec.limits)}

    def create(self, spec: ServerSpec) -> RemoteServer:
        """Reserve the machine, which has no system yet. Not safe to repeat: the same request makes another one."""
        server = self._panel.create("/servers", self._creation(spec))
        remote = objects.remote_server(server)
        try:
            self._rename(remote, spec)
        except outside.OutsideError as error:  # it exists, and is found by its number; its build names it too
            log.warning("the new server %s was not named: %s", remote.ref, error)
        return remote

    def _creation(self, spec: ServerSpec) -> dict[str, int]:
        """The body of a creation: a package, of which the size that was sold is set explicitly."""
        build = _build(spec)
        return {
            "packageId": number(build.plan_ref, _("The provider's plan")),
            "userId": number(_account(spec).ref, _("The account")),
            "hypervisorId": number(spec.location_ref, _("The location")),
            "ipv4": int(self._configuration["ipv4"] or 0),
            **objects.resources_for(spec.limits),
        }

    def reinstall(self, spec: ServerSpec, remote: RemoteServer) -> None:
        """Build it, the first time or again, which erases it. Its password is the panel's own: it cannot be set.

        So the panel mails it to the customer, unless they sign in with keys.
        """
        build = _build(spec)
        body = {
            "operatingSystemId": number(build.image, _("The image")),
            "name": objects.keyed_name(spec.key, spec.name),
            "sshKeys": accounts.ssh_key_ids(self._panel, _account(spec), build.ssh_keys) if build.ssh_keys else [],
            "email": not build.ssh_keys,
        }
        self._panel.write("POST", f"{_path(remote)}/build", body)

    def installs(self, identifier: str) -> list[str]:
        """When it was built, that a build failed, and that one is under way."""
        server = self._panel.read(f"/servers/{_number_of(identifier)}")
        state, began = objects.state_of(server), str(server["built"] or "")
        return [*([began] if began else []), *([str(state)] if state in objects.BUILDS else [])]

    def rescue_link(self, identifier: str, account: str) -> str:
        """To the server's page on the panel, which has its screen."""
        return accounts.sign_in_link(self._panel, account, _number_of(identifier))

    def set_root_password(self, identifier: str, proposed: str) -> str:
        """Have the panel make one, which it then sets from its queue."""
        body = {"user": "root", "sendMail": False}
        return str(self._panel.create(f"/servers/{_number_of(identifier)}/resetPassword", body)["expectedPassword"])

    def differences(self, spec: ServerSpec, remote: RemoteServer) -> frozenset[Difference]:
        """A disk that is larger than it should be cannot be made smaller, so it does not differ."""
        facts, desired = remote.facts, objects.resources_for(spec.limits)
        present = facts["resources"]
        differs = {
            Difference.KEY: facts["key"] != str(spec.key),
            Difference.NAME: facts["name"] != spec.name,
            Difference.ACCOUNT: spec.account is not None and facts["account_ref"] != spec.account.ref,
            Difference.SIZE: desired | {"storage": max(desired["storage"], present["storage"])} != present,
        }
        return frozenset(difference for difference, is_there in differs.items() if is_there)

    def apply(self, spec: ServerSpec, remote: RemoteServer) -> RemoteServer:
        """Change size, owner or name, whichever comes first. A size is a package's, then what was sold beside it."""
        differences, path = self.differences(spec, remote), _path(remote)
        if Difference.SIZE in differences:
            desired = objects.resources_for(spec.limits)
            parts = dict.fromkeys(PACKAGE_PARTS, True)
            parts["primaryDiskSize"] = desired["storage"] > remote.facts["resources"]["storage"]
            package = number(_build(spec).plan_ref, _("The provider's plan"))
            self._panel.write("PUT", f"{path}/package/{package}", parts)
            self._panel.write("PUT", f"{path}/modify/memory", {"memory": desired["memory"]})
            self._panel.write("PUT", f"{path}/modify/cpuCores", {"cores": desired["cpuCores"]})
        elif Difference.ACCOUNT in differences:
            self._panel.write("PUT", f"{path}/owner/{number(_account(spec).ref, _('The account'))}")
        else:
            self._rename(remote, spec)
        changed = self._remote(remote.ref)
        if changed is None:
            raise outside.Unknown("the server was deleted while it was changed")
        return changed

    def _rename(self, remote: RemoteServer, spec: ServerSpec) -> None:
        """Give it the name that carries our key; before version 7 by another path."""
        body = {"name": objects.keyed_name(spec.key, spec.name)}
        try:
            self._panel.write("PUT", f"{_path(remote)}/modify/name", body)
        except outside.OutsideError as error:
            if error.status not in {404, 405} or is_gone(error):
                raise
            self._panel.write("PATCH", f"{_path(remote)}/name", body)

    def delete(self, remote: RemoteServer) -> None:
        """Delete it now, without the panel's days of grace; already deleted is fine."""
        try:
            self._panel.write("DELETE", _path(remote), params={"delay": 0})
        except outside.Rejected as error:
            if not is_gone(error):
                raise

    def suspend(self, remote: RemoteServer) -> None:
        """Stop it and keep it stopped, from the panel's queue."""
        self._panel.write("POST", f"{_path(remote)}/suspend")

    def resume(self, remote: RemoteServer) -> None:
        """Lift a suspension, from the panel's queue; nothing is started."""
        self._panel.write("POST", f"{_path(remote)}/unsuspend")

    def send_power_action(self, identifier: str, action: PowerAction) -> None:
        """Start, stop, restart or kill it, from the panel's queue. Raises WrongState."""
        self._panel.write("POST", f"/servers/{_number_of(identifier)}/power/{ACTIONS[action]}")

    def usage(self, identifier: str) -> Usage:
        """What its hypervisor says of it, which is asked now."""
        path = f"/servers/{_number_of(identifier)}"
        return objects.usage_of(self._panel.read(path, {"remoteState": "true"}))

    def locations(self) -> Iterator[remote_inventory.RemoteLocation]:
        """Every hypervisor group."""
        return inventory.locations(self._panel)

    def nodes(self) -> Iterator[remote_inventory.RemoteNode]:
        """One node for each hypervisor group, with what its hypervisors have together."""
        return inventory.nodes(self._panel, self._configuration["storage_type"])

    def servers(self) -> Iterator[remote_inventory.RemoteServerSummary]:
        """Every server, ours or not."""
        return inventory.servers(self._panel)

    def look_up(self, ref: str) -> remote_inventory.RemoteServerSummary | None:
        """The server with this number; None when the panel says that there is none."""
        server = self._server(ref)
        return inventory.server_summary(server) if server else None

    def _server(self, ref: str) -> dict[str, Any] | None:
        """What the panel says of a server; None when it says that there is none."""
        try:
            return dict(self._panel.read(f"/servers/{number(ref, _('A server'))}"))
        except outside.Rejected as error:
            if is_gone(error):
                return None
            raise

    def _remote(self, ref: str) -> RemoteServer | None:
        server = self._server(ref)
        return objects.remote_server(server) if server else None


def configuration_of(provider: Provider) -> dict[str, int | None]:
    """The provider's configuration. Raises Unavailable where it is wrong, until staff mend it."""
    given = provider.configuration or {}
    if strange := set(given) - set(CONFIGURATION):
        raise outside.Unavailable(f"the configuration of {provider.name} has an unknown {', '.join(sorted(strange))}")
    for name, value in given.items():
        if type(value) is not int or value < 0:
            raise outside.Unavailable(f"{name} in the configuration of {provider.name} must be a whole number")
    return {**CONFIGURATION, **given}


def _build(spec: ServerSpec) -> MachineBuild:
    """The machine to build. Raises Rejected for what VirtFusion cannot build."""
    build = machine_build(spec)
    if build.user_data:
        raise outside.Rejected(_("VirtFusion runs no user data at the first boot. Remove it from the blueprint."))
    return build


def _account(spec: ServerSpec) -> Account:
    """Whose server it is. Raises AccountNotFound where that is not known."""
    if spec.account is None:
        raise AccountNotFound("the owner has no account on the panel")
    return spec.account


def _path(remote: RemoteServer) -> str:
    """A path part: the panel's number. Other text could change which call is made."""
    return f"/servers/{int(remote.ref)}"


def _number_of(identifier: str) -> int:
    """The panel's number, with which an identifier begins."""
    return number(identifier.partition("-")[0], _("A server"))
