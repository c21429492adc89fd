"""What the panel says of one server, in our terms."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from core import outside
from core.ids import uuid_of
from servers.drivers.base import Address, Limits, PowerState, RemoteServer, RemoteState, Usage

MIB_PER_GB, CPU_PERCENT = 1024, 100
KIB_PER_MIB = 1024
COMMISSIONED = 3
# The states of libvirt, which runs the machines.
POWER_STATES = {
    **dict.fromkeys(("running", "idle", "blocked"), PowerState.RUNNING),
    "in shutdown": PowerState.STOPPING,
    **dict.fromkeys(("shutdown", "shutoff", "shut off", "stopped", "crashed"), PowerState.OFF),
    **dict.fromkeys(("paused", "pmsuspended"), PowerState.OFF),
}
# What is seen of a build that has begun and not ended well.
BUILDS = {RemoteState.INSTALLING, RemoteState.INSTALL_FAILED, RemoteState.REINSTALL_FAILED}
_KEYED = re.compile(r"(.*) \[([0-9a-f-]{36})\]", re.DOTALL)


def keyed_name(key: UUID, name: str) -> str:
    """A server's name there: its customer's, and our key, for which the panel has no other field."""
    return f"{name} [{key}]"


def key_and_name(server: Mapping[str, Any]) -> tuple[str, str]:
    """Our key, empty where the name carries none, and the name without it."""
    name = str(server["name"] or "")
    match = _KEYED.fullmatch(name)
    return (match[2], match[1]) if match and uuid_of(match[2]) else ("", name)


def resources_for(limits: Limits) -> dict[str, int]:
    """A size in the panel's units: MB, GB and whole cores, rounded up."""
    return {
        "memory": limits.memory_mib,
        "storage": -(-limits.disk_mib // MIB_PER_GB),
        "cpuCores": max(1, -(-limits.cpu_percent // CPU_PERCENT)),
    }


def resources_of(server: Mapping[str, Any]) -> dict[str, int]:
    """The size that a server has."""
    resources = server["settings"]["resources"]
    return {name: int(resources[name]) for name in ("memory", "storage", "cpuCores")}


def identifier_of(server: Mapping[str, Any]) -> str:
    """Its number and its uuid: a panel that was set up anew gives the same numbers to other servers."""
    return f"{int(server['id'])}-{server['uuid']}"


def remote_server(server: Mapping[str, Any]) -> RemoteServer:
    """The server."""
    key, name = key_and_name(server)
    return RemoteServer(
        ref=str(int(server["id"])),
        identifier=identifier_of(server),
        state=state_of(server),
        addresses=tuple(addresses_of(server)),
        facts={
            "key": key,
            "name": name,
            "account_ref": str(server["ownerId"]),
            "resources": resources_of(server),
        },
    )


def state_of(server: Mapping[str, Any]) -> RemoteState:
    """The state, by what is known of it: `state` itself is only text for people."""
    tasks = server.get("tasks") or {}
    is_busy = bool(tasks.get("active") or (tasks.get("actions") or {}).get("pending"))
    # Once a server is commissioned its tasks are backups and the like; before that they are its build.
    is_building = is_busy and not (server["built"] and server.get("commissionStatus") == COMMISSIONED)
    if server["suspended"]:
        return RemoteState.SUSPENDED
    if is_building:
        return RemoteState.INSTALLING
    if server["buildFailed"]:
        return RemoteState.REINSTALL_FAILED if server["built"] else RemoteState.INSTALL_FAILED
    return RemoteState.READY if server["built"] else RemoteState.CREATED


def addresses_of(server: Mapping[str, Any]) -> list[Address]:
    """The IPv4 addresses. Of IPv6 the panel tells only the subnet."""
    interfaces = server["network"]["interfaces"]
    return [Address(str(each["address"])) for interface in interfaces for each in interface.get("ipv4") or []]


def usage_of(server: Mapping[str, Any]) -> Usage:
    """What the hypervisor says of the running machine; it does not tell since when. Raises Unavailable."""
    live = server.get("remoteState") or {}
    state = POWER_STATES.get(str(live.get("state")).lower())
    if state is None:
        raise outside.Unavailable(f"a server's power state is {str(live.get('state'))[:40]!r}, which is not known")
    memory = live.get("memory") or {}
    used_kib = int(memory.get("actual") or 0) - int(memory.get("unused") or 0)
    filesystems = (live.get("agent") or {}).get("fsinfo") or []
    return Usage(
        power_state=state,
        cpu_percent=Decimal(str(live.get("cpu") or 0)),
        memory_mib=max(used_kib, 0) // KIB_PER_MIB,
        disk_mib=sum(int(each.get("used-bytes") or 0) for each in filesystems) // (MIB_PER_GB * MIB_PER_GB),
        received_bytes=0,
        sent_bytes=0,
        uptime_seconds=0,
    )
