"""What a control server has: its hypervisor groups as locations with one node each, and every server."""

from collections.abc import Iterator, Mapping
from typing import Any

from servers.drivers.inventory import RemoteLocation, RemoteNode, RemoteServerSummary, line
from servers.drivers.virtfusion.client import PanelClient
from servers.drivers.virtfusion.objects import CPU_PERCENT, MIB_PER_GB, identifier_of, key_and_name

GROUPS = "/compute/hypervisors/groups"


def locations(panel: PanelClient) -> Iterator[RemoteLocation]:
    """Every hypervisor group."""
    for group in panel.pages(GROUPS):
        name = line(group["name"])
        yield RemoteLocation(ref=str(int(group["id"])), code=name[:60], name=name)


def nodes(panel: PanelClient, storage_type: int | None) -> Iterator[RemoteNode]:
    """One node for each group, with what its hypervisors have together: the panel chooses among them."""
    for group in panel.pages(GROUPS):
        ref = str(int(group["id"]))
        hypervisors = list(panel.pages(f"{GROUPS}/{ref}/resources"))
        shared: dict[Any, dict[str, Any]] = {}  # a datastore that several hypervisors show counts once
        memory = disk = 0
        for each in hypervisors:
            is_open = takes_servers(each)
            memory += capacity_of(each["resources"]["memory"], is_open=is_open)
            for storage in storages(each["resources"], storage_type):
                if storage.get("isDatastore") and shared.setdefault(storage["id"], storage) is not storage:
                    continue
                disk += capacity_of(storage, is_open=is_open)
        yield RemoteNode(
            ref=ref,
            location_ref=ref,
            name=line(group["name"]),
            memory_mib=memory,
            disk_mib=disk * MIB_PER_GB,
            memory_overcommit_percent=0,
            disk_overcommit_percent=0,
            is_public=True,
            is_in_maintenance=not group["enabled"],
        )


def servers(panel: PanelClient) -> Iterator[RemoteServerSummary]:
    """Every server, ours or not, on the node of its hypervisor's group."""
    groups: dict[str, str] = {}
    for group in panel.pages(GROUPS):
        ref = str(int(group["id"]))
        groups |= {str(each["hypervisor"]["id"]): ref for each in panel.pages(f"{GROUPS}/{ref}/resources")}
    for server in panel.pages("/servers", {"type": "full"}):
        yield server_summary(server, groups.get(str(server["hypervisorId"]), ""))


def server_summary(server: Mapping[str, Any], node_ref: str = "") -> RemoteServerSummary:
    """A server, ours or not."""
    resources = server["settings"]["resources"]
    key, name = key_and_name(server)
    return RemoteServerSummary(
        ref=str(int(server["id"])),
        key=key,
        name=line(name),
        node_ref=node_ref,
        memory_mib=int(resources["memory"]),
        disk_mib=int(resources["storage"]) * MIB_PER_GB,
        allocation_refs=(),
        cpu_percent=int(resources["cpuCores"]) * CPU_PERCENT,
        account_ref=str(int(server["ownerId"])),
        is_suspended=bool(server["suspended"]),
        identifier=identifier_of(server),
    )


def takes_servers(each: dict[str, Any]) -> bool:
    """Whether the panel may place another server on the hypervisor, as far as it tells."""
    hypervisor, resources = each["hypervisor"], each["resources"]
    has_place = all(not resources[name]["max"] or resources[name]["free"] > 0 for name in ("servers", "cpuCores"))
    has_address = resources["network"]["total"]["ipv4"]["free"] > 0
    is_open = hypervisor["enabled"] and hypervisor["commissioned"] and not hypervisor["prohibit"]
    return bool(is_open and has_place and has_address)


def capacity_of(resource: dict[str, Any], *, is_open: bool) -> int:
    """What servers can have of it altogether. Where it is closed, or without a limit (0), no more than they have."""
    maximum, free = int(resource["max"]), int(resource["free"])
    return maximum if is_open and maximum else maximum - free


def storages(resources: dict[str, Any], storage_type: int | None) -> list[dict[str, Any]]:
    """The hypervisor's enabled storages of the type that the packages use; without a type its local one."""
    local = resources["localStorage"]
    found = [local] if storage_type is None else [local, *(resources.get("otherStorage") or [])]
    of_type = (each for each in found if storage_type is None or each["storageType"] == storage_type)
    return [each for each in of_type if each["enabled"]]
