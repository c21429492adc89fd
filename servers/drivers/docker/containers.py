"""A server as a container: what is asked of the engine, always from one hardened template, and what it answers."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from core import outside
from servers.drivers.base import Address, ContainerBuild, Limits, RemoteServer, RemoteState, ServerSpec
from servers.drivers.docker.settings import Host

# Labels, which stay as they were created.
KEY, ATTEMPT, PORTS, DISK = (f"nodebyte.{name}" for name in ("key", "attempt", "ports", "disk_mib"))
KEPT_RUNNING, KEPT_STOPPED = "unless-stopped", "no"
MIB = 1024 * 1024
NANO_PER_PERCENT = 10_000_000
TMPFS = {"/tmp": "size=64m,noexec,nosuid,nodev,mode=1777"}  # noqa: S108 - a folder in the container
# Nothing in it comes from a customer. Who may do more than this has the host.
TEMPLATE: dict[str, Any] = {
    "Privileged": False,
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges:true"],
    "ReadonlyRootfs": True,
    "Tmpfs": TMPFS,
    "PidsLimit": 512,
    "Ulimits": [{"Name": "nofile", "Soft": 8192, "Hard": 8192}],
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
    "Init": True,
    "IpcMode": "private",
    "RestartPolicy": {"Name": KEPT_RUNNING},
}
# An engine ignores a field that it does not know, and a limit that is ignored is none.
READ_BACK = ("Privileged", "CapDrop", "SecurityOpt", "ReadonlyRootfs", "PidsLimit", "Memory", "MemorySwap", "NanoCpus")


def name_of(key: UUID) -> str:
    """The container's name. A host has each name once, so that creating twice makes one container."""
    return f"nb-{key.hex}"


def ref_of(host: Host, key: UUID) -> str:
    """The server's id: where it is, and its name, which stays when its container is replaced."""
    return f"{host.name}/{name_of(key)}"


def resources(limits: Limits) -> dict[str, int]:
    """The limits as an engine takes them. Raises Rejected for a server without one: to an engine 0 is unlimited."""
    if limits.memory_mib <= 0 or limits.cpu_percent <= 0:
        raise outside.Rejected("a container needs a limit of memory and of cpu")
    memory = limits.memory_mib * MIB
    return {"Memory": memory, "MemorySwap": memory, "NanoCpus": limits.cpu_percent * NANO_PER_PERCENT}


def body_of(spec: ServerSpec, build: ContainerBuild, host: Host, user: str) -> dict[str, Any]:
    """What creates the container. The first ports lead to those of its program, further ones to their own numbers.

    Raises Rejected where there are too few, or a limit is missing.
    """
    outer = [int(ref) for ref in spec.allocations]
    if len(outer) < len(build.ports):
        reason = _("The container has {wanted} ports, and the plan only {ports}.")
        raise outside.Rejected(reason.format(wanted=len(build.ports), ports=len(outer)))
    inner = [*build.ports, *outer[len(build.ports) :]]
    published = {f"{port}/{kind}": str(out) for out, port in zip(outer, inner, strict=True) for kind in ("tcp", "udp")}
    labels = {KEY: str(spec.key), DISK: str(spec.limits.disk_mib)}
    body: dict[str, Any] = {
        "Image": build.image,
        "User": user,
        "Env": [f"{name}={value}" for name, value in build.environment.items()],
        "Labels": {**labels, ATTEMPT: str(spec.attempt), PORTS: ",".join(spec.allocations)},
        "ExposedPorts": {port: {} for port in published},
        "HostConfig": {
            **TEMPLATE,
            **resources(spec.limits),
            "NetworkMode": host.network,
            "Mounts": [mount_of(spec, folder, number, build, host) for number, folder in enumerate(build.volumes)],
            "PortBindings": {port: [{"HostIp": host.ip, "HostPort": out}] for port, out in published.items()},
        },
    }
    return body | ({"Cmd": shlex.split(build.command)} if build.command.strip() else {})


def mount_of(spec: ServerSpec, folder: str, number: int, build: ContainerBuild, host: Host) -> dict[str, Any]:
    """A folder that is kept: a volume of the server's own, made with its container. A quota is divided among them."""
    options: dict[str, Any] = {"Labels": {KEY: str(spec.key)}}
    if host.has_disk_quota:
        size = f"{max(1, spec.limits.disk_mib // len(build.volumes))}m"
        options["DriverConfig"] = {"Name": "local", "Options": {"size": size}}
    source = f"{name_of(spec.key)}-{number}"
    return {"Type": "volume", "Source": source, "Target": folder, "VolumeOptions": options}


def require_taken(body: Mapping[str, Any], detail: Mapping[str, Any]) -> None:
    """Raise Rejected where the engine did not take a limit or a restriction."""
    wanted, taken = body["HostConfig"], detail["HostConfig"]
    if ignored := [name for name in READ_BACK if taken.get(name) != wanted[name]]:
        raise outside.Rejected(f"the engine did not take over {', '.join(ignored)}")


def is_suspended(detail: Mapping[str, Any]) -> bool:
    """Whether it is kept stopped: an engine's restart would not start it, and it is off."""
    policy = detail["HostConfig"].get("RestartPolicy") or {}
    return policy.get("Name") in {KEPT_STOPPED, ""} and not detail["State"].get("Running")


def remote_server(host: Host, key: UUID, detail: Mapping[str, Any], names: Sequence[str]) -> RemoteServer:
    """The server that the engine's container is; `names` are those of all that carry its key."""
    given, state = detail["HostConfig"], detail["State"]
    ports, policy = ports_of(detail["Config"].get("Labels")), given.get("RestartPolicy") or {}
    return RemoteServer(
        ref=ref_of(host, key),
        identifier=ref_of(host, key),
        state=RemoteState.SUSPENDED if is_suspended(detail) else RemoteState.READY,
        addresses=tuple(Address(ip=host.ip, port=int(port), ref=port) for port in ports),
        node_ref=host.name,
        facts={
            "names": sorted(names),
            "ports": ports,
            "resources": {name: given.get(name) for name in ("Memory", "MemorySwap", "NanoCpus")},
            "disk_mib": disk_of(detail["Config"].get("Labels")),
            # One that runs and that nobody would start again: a suspension was cut off.
            "is_half_suspended": bool(state.get("Running")) and policy.get("Name") != KEPT_RUNNING,
        },
    )


def ports_of(labels: Mapping[str, str] | None) -> list[str]:
    """The ports that a container of ours has, the main one first."""
    return [port for port in (labels or {}).get(PORTS, "").split(",") if port.isdigit()]


def disk_of(labels: Mapping[str, str] | None) -> int:
    """The disk that a container of ours was created with, in MiB."""
    size = (labels or {}).get(DISK, "")
    return int(size) if size.isdigit() else 0
