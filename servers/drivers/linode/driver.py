"""The driver of Linode: machines by its plans, found by a tag, and created once by their label."""

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import outside
from core.credentials import CredentialField
from core.ids import uuid_of
from servers.drivers.base import (
    Address,
    AlreadyExists,
    Attempt,
    BuildFacts,
    Difference,
    DriverFacts,
    MachineBuild,
    PowerAction,
    PowerState,
    RemoteServer,
    RemoteState,
    ServerSpec,
    Usage,
    WrongState,
)
from servers.drivers.inventory import RemoteLocation, RemoteNode, RemoteServerSummary
from servers.drivers.linode import addresses, stackscripts
from servers.drivers.linode.client import LinodeClient, reasons_of
from servers.drivers.machines import CLOUD_STEPS, elastic_node, machine_build
from servers.drivers.self_service import Refused, ReverseName
from servers.models import Build, Provider

FACTS = DriverFacts(
    label="Linode",
    builds={Build.MACHINE: BuildFacts(user_data_problem=stackscripts.problem_of)},
    calls_per_minute=400,  # a token has four times as many, but of lists only 200
    steps=CLOUD_STEPS,
    credentials=(
        CredentialField(
            "token",
            gettext_lazy("Personal access token"),
            gettext_lazy("Of an unrestricted user, with linodes:read_write, ips:read_write and events:read_only."),
        ),
    ),
    default_url="https://api.linode.com/v4",
    takes_root_password=True,
)
LINODES = "/linode/instances"
STATES = {
    "provisioning": RemoteState.INSTALLING,
    "rebuilding": RemoteState.INSTALLING,
    **dict.fromkeys(("booting", "running", "rebooting", "shutting_down", "offline"), RemoteState.READY),
}
POWER_STATES = {
    "booting": PowerState.STARTING,
    "running": PowerState.RUNNING,
    "rebooting": PowerState.STOPPING,
    "shutting_down": PowerState.STOPPING,
    "offline": PowerState.OFF,
}
OFF, ON = {"offline", "shutting_down"}, {"booting", "running", "rebooting"}
# How the system came to be there or not, newest first. A machine that booted has one.
INSTALLS = {"linode_create": RemoteState.INSTALL_FAILED, "linode_rebuild": RemoteState.REINSTALL_FAILED}
EVENTS = (*INSTALLS, "linode_boot")
SUSPENDED = "suspended"
OURS, NAMED = "svc-", "svc-name-"
MAX_TAG = 50
_NO_STOCK = re.compile(r"available|capacity|stock|sold out", re.IGNORECASE)


class LinodeDriver:
    """An account at Linode. Credentials: `token`.

    Tags say what a machine is: `svc-` and our key, `svc-name-` and its name, and `suspended`. The label is `svc-` and
    our key, too, and never changes: Linode refuses a second machine with it, so that a creation whose answer was lost
    excludes every later one, even one that Linode carries out late. Each attempt is a call, so a label that counted
    the attempts would exclude nothing.
    """

    facts = FACTS

    def __init__(self, provider: Provider) -> None:
        self._linode = LinodeClient(provider)

    def find(self, spec: ServerSpec, attempts: Sequence[Attempt]) -> RemoteServer | None:
        """The machine with our key as a tag. One that an attempt was answered with is read without any list.

        One that was adopted, which no attempt made, may still have another key.
        """
        tag, keyless = key_tag(spec.key), None
        for attempt in attempts:
            machine = self._linode.find(path_of(attempt.ref)) if attempt.ref else None
            if machine and tag in machine["tags"]:
                return self._remote(machine)
            if machine and (not key_of(machine) or not attempt.number):
                keyless = machine
        found = list(self._linode.listed(LINODES, {"tags": tag}))
        if len(found) > 1:
            raise outside.Rejected(_("{count} Linodes have the tag {tag}.").format(count=len(found), tag=tag))
        machine = found[0] if found else keyless
        return self._remote(machine) if machine else None

    def _remote(self, machine: dict[str, Any]) -> RemoteServer:
        """The machine; one that is off may never have been provisioned, which only the events tell."""
        remote = remote_machine(machine)
        if machine["status"] == "offline" and remote.state is RemoteState.READY:
            actions = {"+or": [{"action": action} for action in EVENTS]}
            entity = {"entity.type": "linode", "entity.id": machine["id"]}
            newest = next(self._linode.listed("/account/events", entity | actions), None)
            if newest and newest["status"] == "failed" and newest["action"] in INSTALLS:
                return replace(remote, state=INSTALLS[newest["action"]])
        return remote

    def create(self, spec: ServerSpec) -> RemoteServer:
        """Create the machine; where its label is taken, it is the one that an earlier call created."""
        build = machine_build(spec)
        body = {
            "label": key_tag(spec.key),
            "tags": [key_tag(spec.key), name_tag(spec.name)],
            "region": spec.location_ref,
            "type": build.plan_ref,
            **system_of(build),
        }
        try:
            return remote_machine(self._linode.write("POST", LINODES, body))
        except outside.Rejected as error:
            reasons = reasons_of(error)
            if any(field == "label" and "unique" in reason.lower() for field, reason in reasons):
                return self._labelled(spec)
            if any(field in {"region", "type"} and _NO_STOCK.search(reason) for field, reason in reasons):
                text = _("Linode has no more machines of the plan {plan} in {region}. Retry when it has.")
                named = text.format(plan=build.plan_ref, region=spec.location_ref)
                raise outside.Rejected(named, status=error.status, body=error.body) from None
            raise

    def _labelled(self, spec: ServerSpec) -> RemoteServer:
        """The machine that has our label. Raises AlreadyExists while a deleted one keeps it."""
        label = key_tag(spec.key)
        machine = next(self._linode.listed(LINODES, {"label": label}), None)
        if machine is None:
            raise AlreadyExists(f"the label {label} is not free yet")
        if key_of(machine) != spec.key:
            raise outside.Rejected(_("Another Linode has the label {label}. Rename it there.").format(label=label))
        return remote_machine(machine)

    def differences(self, spec: ServerSpec, remote: RemoteServer) -> frozenset[Difference]:
        """A machine's size is its plan. One that runs and is marked as suspended is not what it says."""
        tags, is_suspended = remote.facts["tags"], remote.state is RemoteState.SUSPENDED
        differs = {
            Difference.KEY: key_tag(spec.key) not in tags or (SUSPENDED in tags and not is_suspended),
            Difference.NAME: name_tag(spec.name) not in tags,
            Difference.SIZE: remote.facts["plan"] != machine_build(spec).plan_ref,
        }
        return frozenset(difference for difference, is_there in differs.items() if is_there)

    def apply(self, spec: ServerSpec, remote: RemoteServer) -> RemoteServer:
        """Resize it, which takes minutes and a restart; or write our tags, and keep others."""
        if Difference.SIZE in self.differences(spec, remote):
            plan = machine_build(spec).plan_ref
            body = {"type": plan, "allow_auto_disk_resize": True, "migration_type": "cold"}
            self._linode.write("POST", f"{path_of(remote.ref)}/resize", body)
            return replace(remote, state=RemoteState.RESTORING, facts={**remote.facts, "plan": plan})
        others = [tag for tag in remote.facts["tags"] if not tag.startswith(OURS) and tag != SUSPENDED]
        mark = [SUSPENDED] if remote.state is RemoteState.SUSPENDED else []
        return remote_machine(self._tag(remote, [*others, key_tag(spec.key), name_tag(spec.name), *mark]))

    def _tag(self, remote: RemoteServer, tags: Sequence[str]) -> dict[str, Any]:
        """Replace the machine's tags, all of them."""
        return self._linode.write("PUT", path_of(remote.ref), {"tags": list(tags)})

    def delete(self, remote: RemoteServer) -> None:
        """Delete it with its disks; already deleted is fine."""
        try:
            self._linode.write("DELETE", path_of(remote.ref))
        except outside.Rejected as error:
            if error.status != 404:
                raise

    def reinstall(self, spec: ServerSpec, remote: RemoteServer) -> None:
        """Put the image back, which erases the disks."""
        self._linode.write("POST", f"{path_of(remote.ref)}/rebuild", system_of(machine_build(spec)))

    def installs(self, identifier: str) -> list[str]:
        """The events of its rebuilds."""
        wanted = {"action": "linode_rebuild", "entity.type": "linode", "entity.id": int(identifier)}
        return [str(each["id"]) for each in self._linode.listed("/account/events", wanted)]

    def set_root_password(self, identifier: str, proposed: str) -> str:
        """Set it on the disk of a machine that is off. Raises Refused while it runs."""
        if self._linode.read(path_of(identifier))["status"] != "offline":
            raise Refused(_("Stop the machine first: its password can be changed only while it is off."))
        self._linode.write("POST", f"{path_of(identifier)}/password", {"root_pass": proposed})
        return proposed

    def reverse_names(self, identifier: str) -> list[ReverseName]:
        """Its public IPv4 addresses with their names."""
        return addresses.reverse_names(self._linode, path_of(identifier))

    def set_reverse_name(self, identifier: str, address: str, name: str) -> None:
        """Name one of its addresses. Raises Refused where the name does not lead there."""
        addresses.set_reverse_name(self._linode, path_of(identifier), address, name)

    def suspend(self, remote: RemoteServer) -> None:
        """Mark it, then shut it down: what is marked and runs is not suspended yet."""
        others = [tag for tag in remote.facts["tags"] if tag != SUSPENDED]
        if self._tag(remote, [*others, SUSPENDED])["status"] not in OFF:
            self._linode.write("POST", f"{path_of(remote.ref)}/shutdown")

    def resume(self, remote: RemoteServer) -> None:
        """Take the mark away; nothing is started."""
        self._tag(remote, [tag for tag in remote.facts["tags"] if tag != SUSPENDED])

    def send_power_action(self, identifier: str, action: PowerAction) -> None:
        """Start, stop or restart it, unless that is under way; there is no harder stop than the graceful one."""
        status = self._linode.read(path_of(identifier))["status"]
        if action is PowerAction.START:
            command = "" if status in ON else "boot"
        elif action is PowerAction.RESTART:
            command = "boot" if status == "offline" else "reboot"
        else:
            command = "" if status in OFF else "shutdown"
        if command:
            self._linode.write("POST", f"{path_of(identifier)}/{command}")

    def usage(self, identifier: str) -> Usage:
        """Only whether it runs: figures are averages of five minutes, and limited tightly. Raises WrongState."""
        status = self._linode.read(path_of(identifier))["status"]
        if status not in POWER_STATES:
            raise WrongState(f"the Linode is {status}")
        return Usage(POWER_STATES[status], Decimal(0), 0, 0, 0, 0, 0)

    def locations(self) -> Iterator[RemoteLocation]:
        """The regions that have machines."""
        for region in self._regions():
            yield RemoteLocation(ref=region["id"], code=region["id"], name=region["label"])

    def nodes(self) -> Iterator[RemoteNode]:
        """One elastic node for each region; Linode chooses the host."""
        for region in self._regions():
            yield elastic_node(region["id"], region["label"], is_in_maintenance=region["status"] != "ok")

    def _regions(self) -> Iterator[dict[str, Any]]:
        return (each for each in self._linode.listed("/regions") if "Linodes" in each["capabilities"])

    def servers(self) -> Iterator[RemoteServerSummary]:
        """Every machine, ours or not. Its size is its plan's, which is not compared."""
        return (summary_of(machine) for machine in self._linode.listed(LINODES))

    def look_up(self, ref: str) -> RemoteServerSummary | None:
        """The machine with this number; None when Linode says that there is none."""
        machine = self._linode.find(path_of(ref))
        return summary_of(machine) if machine else None


def summary_of(machine: dict[str, Any]) -> RemoteServerSummary:
    """A machine, ours or not."""
    return RemoteServerSummary(
        ref=str(machine["id"]),
        key=str(key_of(machine) or ""),
        name=machine["label"],
        node_ref=machine["region"],
        memory_mib=0,
        disk_mib=0,
        allocation_refs=(),
        is_suspended=remote_machine(machine).state is RemoteState.SUSPENDED,
        identifier=str(machine["id"]),
        build_ref=str(machine["type"] or ""),
    )


def system_of(build: MachineBuild) -> dict[str, Any]:
    """What is put on the disks: an image, who may enter, and a StackScript or user data."""
    system: dict[str, Any] = {"image": build.image, "root_pass": build.root_password}
    if build.ssh_keys:
        system["authorized_keys"] = list(build.ssh_keys)
    if script := stackscripts.parse(build.user_data):
        system["stackscript_id"], system["stackscript_data"] = script
    elif build.user_data:
        system["metadata"] = {"user_data": base64.b64encode(build.user_data.encode()).decode()}
    return system


def path_of(ref: str) -> str:
    """The path of a machine."""
    return f"{LINODES}/{int(ref)}"


def key_tag(key: UUID) -> str:
    """The tag, and the label, of the machine with our key."""
    return f"{OURS}{key}"


def name_tag(name: str) -> str:
    """The tag that shows a machine's name to who looks at Linode's own pages, in the letters that any tag may have."""
    return f"{NAMED}{slugify(name) or 'server'}"[:MAX_TAG].rstrip("-")


def key_of(machine: dict[str, Any]) -> UUID | None:
    """Our key, by the machine's tags."""
    keys = (uuid_of(tag.removeprefix(OURS)) for tag in machine["tags"] if tag.startswith(OURS))
    return next((key for key in keys if key), None)


def remote_machine(machine: dict[str, Any]) -> RemoteServer:
    """The machine as convergence sees it. In any state that is not listed it can only be waited for."""
    tags = sorted(machine["tags"])
    is_suspended = SUSPENDED in tags and machine["status"] in OFF
    addresses = [ip for ip in machine["ipv4"] if not ip.startswith("192.168.")]
    if machine["ipv6"]:
        addresses.append(machine["ipv6"].partition("/")[0])
    return RemoteServer(
        ref=str(machine["id"]),
        identifier=str(machine["id"]),
        state=RemoteState.SUSPENDED if is_suspended else STATES.get(machine["status"], RemoteState.RESTORING),
        addresses=tuple(Address(ip) for ip in addresses),
        facts={"tags": tags, "plan": machine["type"]},
    )
