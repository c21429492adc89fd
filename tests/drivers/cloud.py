"""A driver of a cloud: machines by the provider's own plans, found by tags, without eggs, accounts, ports and nodes."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from core import outside
from core.outside import Expect, OutsideSession, refuse_transaction
from servers.drivers.base import (
    Address,
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
)
from servers.drivers.inventory import RemoteLocation, RemoteNode, RemoteServerSummary
from servers.models import Build, Provider, Step

FACTS = DriverFacts(
    label="Test cloud",
    builds={Build.MACHINE: BuildFacts()},
    calls_per_minute=120,
    steps={Step.PLACED: "Region chosen", Step.CREATED: "Machine created", Step.INSTALLED: "System installed"},
)
STATES = {"new": RemoteState.INSTALLING, "error": RemoteState.INSTALL_FAILED}
ACTIONS = {
    PowerAction.START: "power_on",
    PowerAction.STOP: "power_off",
    PowerAction.RESTART: "reboot",
    PowerAction.KILL: "power_off",
}


class CloudDriver:
    """An account at the cloud. Credentials: `token`."""

    facts = FACTS

    def __init__(self, provider: Provider) -> None:
        headers = {"Authorization": f"Bearer {provider.credentials['token']}"}
        self._session = OutsideSession("cloud", f"{provider.base_url}/v2", headers, read_timeout=5)

    def find(self, spec: ServerSpec, attempts: Sequence[Attempt]) -> RemoteServer | None:
        """The machine with our key as a tag, or one that an attempt was answered with."""
        found = self._call("GET", "/machines", params={"tag": str(spec.key)})["machines"]
        if len(found) > 1:
            raise outside.Rejected(f"{len(found)} machines have the tag {spec.key}")
        if found:
            return remote_machine(found[0])
        refs = [attempt.ref for attempt in attempts if attempt.ref]
        machines = [self._machine(ref) for ref in refs]
        return next((machine for machine in machines if machine is not None), None)

    def create(self, spec: ServerSpec) -> RemoteServer:
        """Not safe to repeat: the same request makes another machine."""
        if not isinstance(spec.build, MachineBuild):
            raise outside.Rejected("the blueprint names no plan of the cloud")
        body = {
            "name": spec.name,
            "region": spec.location_ref,
            "plan": spec.build.plan_ref,
            "image": spec.build.image,
            "user_data": spec.build.user_data,
            "tags": [str(spec.key), f"attempt-{spec.attempt}"],
        }
        return remote_machine(self._call("POST", "/machines", json=body)["machine"])

    def differences(self, spec: ServerSpec, remote: RemoteServer) -> frozenset[Difference]:
        """A machine's size is its plan."""
        plan_ref = spec.build.plan_ref if isinstance(spec.build, MachineBuild) else None
        differs = {
            Difference.KEY: str(spec.key) not in remote.facts["tags"],
            Difference.NAME: remote.facts["name"] != spec.name,
            Difference.SIZE: remote.facts["plan"] != plan_ref,
        }
        return frozenset(difference for difference, is_there in differs.items() if is_there)

    def apply(self, spec: ServerSpec, remote: RemoteServer) -> RemoteServer:
        """One difference after another."""
        differences = self.differences(spec, remote)
        if Difference.SIZE in differences and isinstance(spec.build, MachineBuild):
            return self._act(remote, {"type": "resize", "plan": spec.build.plan_ref})
        if Difference.NAME in differences:
            return self._act(remote, {"type": "rename", "name": spec.name})
        return self._act(remote, {"type": "tag", "tag": str(spec.key)})

    def delete(self, remote: RemoteServer) -> None:
        """Delete it; already deleted is fine."""
        try:
            self._call("DELETE", f"/machines/{int(remote.ref)}", expects=Expect.NOTHING)
        except outside.Rejected as error:
            if error.status != 404:
                raise

    def send_power_action(self, identifier: str, action: PowerAction) -> None:
        """Start, stop, restart or kill it."""
        self._call("POST", f"/machines/{int(identifier)}/actions", json={"type": ACTIONS[action]})

    def usage(self, identifier: str) -> Usage:
        """Only whether it is on: this cloud measures nothing else."""
        machine = self._call("GET", f"/machines/{int(identifier)}")["machine"]
        state = PowerState.RUNNING if machine["status"] == "active" else PowerState.OFF
        return Usage(state, Decimal(0), 0, 0, 0, 0, 0)

    def reinstall(self, spec: ServerSpec, remote: RemoteServer) -> None:
        """Put the image back, which erases the disk."""
        self._act(remote, {"type": "rebuild"})

    def suspend(self, remote: RemoteServer) -> None:
        """Stop it and keep it stopped."""
        self._act(remote, {"type": "suspend"})

    def resume(self, remote: RemoteServer) -> None:
        """Lift a suspension."""
        self._act(remote, {"type": "resume"})

    def locations(self) -> Iterator[RemoteLocation]:
        """The cloud's regions."""
        for region in self._call("GET", "/regions")["regions"]:
            yield RemoteLocation(ref=region["slug"], code=region["slug"], name=region["name"])

    def nodes(self) -> Iterator[RemoteNode]:
        """One elastic node for each region."""
        for location in self.locations():
            yield RemoteNode(
                ref=location.ref,
                location_ref=location.ref,
                name=location.name,
                memory_mib=0,
                disk_mib=0,
                memory_overcommit_percent=0,
                disk_overcommit_percent=0,
                is_public=True,
                is_in_maintenance=False,
                is_elastic=True,
            )

    def servers(self) -> Iterator[RemoteServerSummary]:
        """Every machine."""
        for machine in self._call("GET", "/machines")["machines"]:
            key = next((tag for tag in machine["tags"] if not tag.startswith("attempt-")), "")
            yield RemoteServerSummary(str(machine["id"]), key, machine["name"], machine["region"], 0, 0, ())

    def _machine(self, ref: str) -> RemoteServer | None:
        try:
            return remote_machine(self._call("GET", f"/machines/{int(ref)}")["machine"])
        except outside.Rejected as error:
            if error.status == 404:
                return None
            raise

    def _act(self, remote: RemoteServer, body: dict[str, Any]) -> RemoteServer:
        answer = self._call("POST", f"/machines/{int(remote.ref)}/actions", json=body)
        return remote_machine(answer["machine"])

    def _call(self, method: str, path: str, **options: Any) -> Any:
        refuse_transaction("the cloud")
        return self._session.call(method, path, **options).body


def remote_machine(machine: dict[str, Any]) -> RemoteServer:
    """The machine as convergence sees it; its address is known once it is installed."""
    state = RemoteState.SUSPENDED if machine["suspended"] else STATES.get(machine["status"], RemoteState.READY)
    return RemoteServer(
        ref=str(machine["id"]),
        identifier=str(machine["id"]),
        state=state,
        addresses=tuple(Address(ip) for ip in machine["addresses"]),
        facts={"name": machine["name"], "plan": machine["plan"], "tags": machine["tags"]},
    )
