"""The driver of DigitalOcean: droplets found by tags, changed by actions, one at a time."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import outside
from core.credentials import CredentialField
from servers.drivers import inventory as remote_inventory
from servers.drivers.base import (
    Attempt,
    BuildFacts,
    Difference,
    DriverFacts,
    MachineBuild,
    NotOnNode,
    PowerAction,
    PowerState,
    RemoteServer,
    RemoteState,
    ServerSpec,
    Usage,
    WrongState,
)
from servers.drivers.digitalocean import first_boot, inventory
from servers.drivers.digitalocean.client import (
    DEFAULT_URL,
    PENDING_SECONDS,
    DigitalOceanClient,
    is_not_found,
    message_of,
)
from servers.drivers.digitalocean.droplets import (
    REBUILDING,
    RESIZING,
    SERVER_TAG,
    SUSPENDED,
    attempt_tag,
    created_at,
    hostname,
    is_copy,
    remote_server,
    server_tag,
)
from servers.drivers.machines import CLOUD_STEPS, machine_build
from servers.models import Build, Provider

FACTS = DriverFacts(
    label="DigitalOcean",
    builds={Build.MACHINE: BuildFacts()},
    calls_per_minute=60,  # 5000 an hour, and a look at an install is two calls
    steps=CLOUD_STEPS,
    credentials=(
        CredentialField("token", gettext_lazy("API token"), gettext_lazy("With full access, or to droplets and tags.")),
    ),
    default_url=DEFAULT_URL,
    lost_answer_wait=timedelta(minutes=2),  # tags are put on after a creation, and lists lag behind
    takes_root_password=True,
    rebuild_keeps_access=True,
)
ACTIONS = {
    PowerAction.START: "power_on",
    PowerAction.STOP: "shutdown",
    PowerAction.RESTART: "reboot",
    PowerAction.KILL: "power_off",
}
# The actions that begin an uptime, and those that end one.
STARTS = {"create", "power_on", "reboot", "power_cycle", "rebuild", "restore"}
STOPS = {"shutdown", "power_off"}
MAX_STEPS = 6  # of one change: tag, stop, resize, start, remove the tag
SHUTDOWN_SECONDS = 60  # a machine may ignore it; then it is powered off
FINAL_BACKUP_OF = timedelta(days=1)  # one that is older is not the last state
LOOK_AGAIN_SECONDS = 2.0  # right after its creation a droplet may not be found for a moment
MIB_PER_GIB = 1024


class DigitalOceanDriver:
    """A DigitalOcean account. Credentials: `token`."""

    facts = FACTS

    def __init__(self, provider: Provider) -> None:
        self._cloud = DigitalOceanClient(provider)

    def find(self, spec: ServerSpec, attempts: Sequence[Attempt]) -> RemoteServer | None:
        """The droplet that an attempt was answered with, or the oldest of those that lost answers left."""
        refs = [attempt.ref for attempt in attempts if attempt.ref]
        known = next((droplet for ref in refs if (droplet := self._known_droplet(ref))), None)
        creations = max((attempt.number for attempt in attempts), default=0)
        if known is not None and creations <= 1:
            return self._remote(known)
        # Lists lag: each droplet is read by itself, and one that is gone already does not count.
        listed = list(self._listed(spec, is_lost=creations > 0))
        droplets = [droplet for each in listed if (droplet := self._droplet(each["id"]))]
        if known is None and not droplets:
            return None
        kept = known or min(droplets, key=created_at)
        return self._remote(kept, [each["id"] for each in droplets if is_copy(each, kept, spec)])

    def _listed(self, spec: ServerSpec, *, is_lost: bool) -> Iterator[dict[str, Any]]:
        """What has our tag; where that finds none after a creation, what has our name, because tags come later."""
        tag, name, is_found = server_tag(spec.key), hostname(spec), False
        for each in self._cloud.pages("/droplets", "droplets", {"tag_name": tag}):
            if tag in each["tags"]:
                is_found = True
                yield each
        if is_lost and not is_found:
            yield from (
                each for each in self._cloud.pages("/droplets", "droplets", {"name": name}) if each["name"] == name
            )

    def create(self, spec: ServerSpec) -> RemoteServer:
        """Not safe to repeat: the same request makes another droplet. What comes before it is."""
        build = machine_build(spec)
        body = {
            "name": hostname(spec),
            "region": spec.location_ref,
            "size": build.plan_ref,
            "image": image_of(build),
            "user_data": first_boot.user_data(build),
            "ssh_keys": [self._register_key(line) for line in build.ssh_keys or (first_boot.key_of_nobody(),)],
            "tags": [server_tag(spec.key), attempt_tag(spec)],
            "ipv6": True,
        }
        try:
            return remote_server(self._cloud.write("POST", "/droplets", body, member="droplet"))
        except outside.Rejected as error:
            if "droplet limit" in message_of(error).lower():
                reason = _("The DigitalOcean account has as many droplets as it may have. Have its limit raised.")
                raise outside.Rejected(reason, status=error.status, code=error.code) from None
            raise

    def _register_key(self, line: str) -> str:
        """The fingerprint of a public key that the account has from now on."""
        fingerprint = first_boot.fingerprint(line)
        try:
            self._cloud.write("POST", "/account/keys", {"name": fingerprint, "public_key": line}, member="ssh_key")
        except outside.Unknown as error:  # no machine was asked for yet
            raise outside.Unavailable(str(error), status=error.status) from None
        except outside.Rejected as error:
            if error.status != 422:  # it is there already; a key that is not valid is refused with the droplet
                raise
        return fingerprint

    def differences(self, spec: ServerSpec, remote: RemoteServer) -> frozenset[Difference]:
        """A machine's size is DigitalOcean's; its tags are its key, and no copy may have the same."""
        facts, size = remote.facts, machine_build(spec).plan_ref
        is_left_suspended = SUSPENDED in facts["tags"] and remote.state is not RemoteState.SUSPENDED
        is_marked = is_left_suspended or (REBUILDING in facts["tags"] and remote.state is RemoteState.READY)
        differs = {
            Difference.KEY: server_tag(spec.key) not in facts["tags"] or is_marked or bool(facts["copies"]),
            Difference.NAME: facts["name"] != hostname(spec),
            Difference.SIZE: facts["size"] != size or RESIZING in facts["tags"],
        }
        return frozenset(difference for difference, is_there in differs.items() if is_there)

    def apply(self, spec: ServerSpec, remote: RemoteServer) -> RemoteServer:
        """One step after another, until an action takes its time; the next round goes on when that has ended."""
        for _number in range(MAX_STEPS):
            if remote.facts["locked"]:
                raise outside.Unavailable("an action of this droplet is under way", retry_after=PENDING_SECONDS)
            self._take_step(spec, remote)
            remote = self._read_again(remote.ref)
            if remote.facts["locked"] or not self.differences(spec, remote):
                break
        return remote

    def _take_step(self, spec: ServerSpec, remote: RemoteServer) -> None:
        differences, tags = self.differences(spec, remote), remote.facts["tags"]
        if Difference.KEY in differences:
            if server_tag(spec.key) not in tags:
                for other in filter(SERVER_TAG.fullmatch, tags):  # of a server that was adopted
                    self._untag(remote.ref, other)
                self._tag(remote.ref, server_tag(spec.key))
            if SUSPENDED in tags and remote.state is not RemoteState.SUSPENDED:
                self._untag(remote.ref, SUSPENDED)
            if REBUILDING in tags and remote.state is RemoteState.READY:
                self._untag(remote.ref, REBUILDING)
            for copy in remote.facts["copies"]:
                self._destroy(copy)
        elif Difference.NAME in differences:
            self._act(remote.ref, {"type": "rename", "name": hostname(spec)})
        elif Difference.SIZE in differences:
            self._resize(spec, remote)

    def _resize(self, spec: ServerSpec, remote: RemoteServer) -> None:
        """The next step to another size, for which a machine has to be off. Raises Rejected."""
        ref, facts = remote.ref, remote.facts
        is_off, size = facts["status"] == "off", machine_build(spec).plan_ref
        if facts["size"] == size and is_off and remote.state is not RemoteState.SUSPENDED:
            self._act(ref, {"type": "power_on"})
        elif facts["size"] == size:
            self._untag(ref, RESIZING)
        elif not is_off:
            self._require_size(size, spec, remote)  # before somebody's machine is stopped for nothing
            self._tag(ref, RESIZING)
            self._stop(ref)
        else:
            # A larger disk can never be made smaller again; so only where the customer has bought one.
            has_larger_disk = spec.limits.disk_mib > facts["disk_gib"] * MIB_PER_GIB
            try:
                self._act(ref, {"type": "resize", "size": size, "disk": has_larger_disk})
            except outside.Rejected:
                if RESIZING in facts["tags"] and remote.state is not RemoteState.SUSPENDED:
                    self._act(ref, {"type": "power_on"})
                raise

    def _require_size(self, size: str, spec: ServerSpec, remote: RemoteServer) -> None:
        """Raise Rejected where the droplet cannot have the size in its region."""
        listed = (each for each in self._cloud.pages("/sizes", "sizes") if each["slug"] == size)
        found = next(listed, None)
        if found is None or not found["available"] or spec.location_ref not in found["regions"]:
            raise outside.Rejected(_("DigitalOcean has no size {size} in this region.").format(size=size))
        if found["disk"] < remote.facts["disk_gib"]:
            raise outside.Rejected(_("A disk cannot be made smaller, and that of {size} is.").format(size=size))

    def _stop(self, ref: str) -> None:
        """Shut it down; power off what has not obeyed after a minute. Raises Unavailable while that minute lasts."""
        newest = next(iter(self._actions(ref)), None)
        if newest is None or newest["type"] != "shutdown":
            return self._act(ref, {"type": "shutdown"})
        if time.time() - datetime.fromisoformat(newest["started_at"]).timestamp() < SHUTDOWN_SECONDS:
            raise outside.Unavailable("the machine is being shut down", retry_after=PENDING_SECONDS)
        return self._act(ref, {"type": "power_off"})

    def delete(self, remote: RemoteServer) -> None:
        """Destroy it; already destroyed is fine. One by one: nothing is ever destroyed by a tag."""
        self._destroy(remote.ref)

    def keep_final_backup(self, spec: ServerSpec, remote: RemoteServer) -> bool:
        """A snapshot, which stays and costs until staff delete it; whether it is complete.

        One that somebody made on another day is not it. Raises Rejected where it failed.
        """
        since = time.time() - FINAL_BACKUP_OF.total_seconds()
        made = [
            each
            for each in self._actions(remote.ref)
            if each["type"] == "snapshot" and datetime.fromisoformat(each["started_at"]).timestamp() > since
        ]
        if not made:
            self._act(remote.ref, {"type": "snapshot", "name": f"{hostname(spec)}-{spec.key}"})
            return False
        if made[0]["status"] == "errored":
            raise outside.Rejected(_("DigitalOcean could not make the final backup. Make one there, then Retry."))
        return str(made[0]["status"]) == "completed"

    def send_power_action(self, identifier: str, action: PowerAction) -> None:
        """Start, stop, restart or kill it; what is so already is fine. Raises WrongState, NotOnNode."""
        try:
            self._act(identifier, {"type": ACTIONS[action]})
        except outside.Rejected as error:
            droplet = self._droplet(identifier)
            if droplet is None:
                raise NotOnNode(str(error), status=error.status, code=error.code) from None
            reached = {PowerAction.START: "active", PowerAction.STOP: "off", PowerAction.KILL: "off"}.get(action)
            if droplet["status"] != reached:
                raise WrongState(str(error), status=error.status, code=error.code) from None

    def usage(self, identifier: str) -> Usage:
        """Whether it is on, and since when: DigitalOcean tells no more without a program on the machine."""
        droplet = self._droplet(identifier)
        if droplet is None:
            raise NotOnNode("DigitalOcean no longer has this droplet")
        is_on, uptime = droplet["status"] == "active", 0
        state = PowerState.RUNNING if is_on else PowerState.OFF
        actions = self._actions(identifier)
        pending = next((each["type"] for each in actions if each["status"] == "in-progress"), "")
        if pending in STARTS | STOPS:
            state = PowerState.STARTING if pending in STARTS else PowerState.STOPPING
        ended = (each["completed_at"] for each in actions if each["status"] == "completed" and each["type"] in STARTS)
        if state is PowerState.RUNNING and (since := next(ended, None)):
            uptime = max(0, int(time.time() - datetime.fromisoformat(since).timestamp()))
        return Usage(state, Decimal(0), 0, 0, 0, 0, uptime)

    def reinstall(self, spec: ServerSpec, remote: RemoteServer) -> None:
        """Put the image back, which erases the disk; the first boot is that of the creation, with its password.

        It is marked before, because a rebuild that fails leaves nothing else to see. Raises NotOnNode for a droplet
        that was never made.
        """
        if remote.facts["status"] == "new":
            raise NotOnNode("DigitalOcean did not finish the creation of this droplet")
        self._tag(remote.ref, REBUILDING)
        self._act(remote.ref, {"type": "rebuild", "image": image_of(machine_build(spec))})

    def installs(self, identifier: str) -> list[str]:
        """Its rebuilds."""
        return [str(each["id"]) for each in self._actions(identifier) if each["type"] == "rebuild"]

    def suspend(self, remote: RemoteServer) -> None:
        """Stop it, and mark it so that it is known why it is off."""
        present = self._read_again(remote.ref).facts
        if present["locked"] or present["status"] == "new":
            raise outside.Unavailable("an action of this droplet is under way", retry_after=PENDING_SECONDS)
        self._tag(remote.ref, SUSPENDED)
        if present["status"] == "active":
            self._stop(remote.ref)

    def resume(self, remote: RemoteServer) -> None:
        """Take the mark away; nothing is started."""
        if remote.facts["status"] == "archive":
            raise outside.Rejected(_("DigitalOcean itself has suspended this machine. Ask its support why."))
        self._untag(remote.ref, SUSPENDED)

    def locations(self) -> Iterator[remote_inventory.RemoteLocation]:
        """Every region."""
        return inventory.locations(self._cloud)

    def nodes(self) -> Iterator[remote_inventory.RemoteNode]:
        """One elastic node for each region."""
        return inventory.nodes(self._cloud)

    def servers(self) -> Iterator[remote_inventory.RemoteServerSummary]:
        """Every droplet, ours or not."""
        return inventory.servers(self._cloud)

    def look_up(self, ref: str) -> remote_inventory.RemoteServerSummary | None:
        """The droplet with this number; not found twice means that there is none."""
        droplet = self._known_droplet(ref)
        return inventory.server_summary(droplet) if droplet else None

    def _known_droplet(self, ref: str) -> dict[str, Any] | None:
        """A droplet that was there once: not found twice means gone."""
        droplet = self._droplet(ref)
        if droplet is None:
            time.sleep(LOOK_AGAIN_SECONDS)
            droplet = self._droplet(ref)
        return droplet

    def _droplet(self, ref: str | int) -> dict[str, Any] | None:
        """A droplet as it is now; None when DigitalOcean says that there is none."""
        try:
            return dict(self._cloud.read(f"/droplets/{int(ref)}", "droplet"))
        except outside.Rejected as error:
            if is_not_found(error):
                return None
            raise

    def _read_again(self, ref: str) -> RemoteServer:
        droplet = self._droplet(ref)
        if droplet is None:
            raise outside.Unknown("the droplet was destroyed while it was changed")
        return self._remote(droplet)

    def _remote(self, droplet: dict[str, Any], copies: Sequence[int] = ()) -> RemoteServer:
        """The droplet with the action that is under way, or that failed to make it."""
        is_changing = droplet["locked"] or droplet["status"] == "new" or REBUILDING in droplet["tags"]
        return remote_server(droplet, self._actions(droplet["id"]) if is_changing else (), copies)

    def _actions(self, ref: str | int) -> list[dict[str, Any]]:
        """The droplet's latest actions, the newest first."""
        return list(self._cloud.read(f"/droplets/{int(ref)}/actions", "actions"))

    def _act(self, ref: str, action: dict[str, Any]) -> None:
        """Ask for an action; how it ended is seen later. Raises Unavailable while another is under way."""
        self._cloud.write("POST", f"/droplets/{int(ref)}/actions", action, member="action")

    def _destroy(self, ref: str | int) -> None:
        try:
            self._cloud.write("DELETE", f"/droplets/{int(ref)}")
        except outside.Rejected as error:
            if not is_not_found(error):
                raise

    def _tag(self, ref: str, tag: str) -> None:
        self._cloud.write("POST", "/tags", {"name": tag}, member="tag")
        self._cloud.write("POST", f"/tags/{tag}/resources", _resources(ref))

    def _untag(self, ref: str, tag: str) -> None:
        try:
            self._cloud.write("DELETE", f"/tags/{tag}/resources", _resources(ref))
        except outside.Rejected as error:
            if not is_not_found(error):
                raise


def image_of(build: MachineBuild) -> str | int:
    """An image of DigitalOcean's by its name, or one of the account by its number."""
    return int(build.image) if build.image.isdigit() else build.image


def _resources(ref: str) -> dict[str, Any]:
    return {"resources": [{"resource_id": str(int(ref)), "resource_type": "droplet"}]}
