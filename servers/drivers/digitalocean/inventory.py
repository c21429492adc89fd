"""Everything that an account has, read page by page."""

from collections.abc import Iterator
from typing import Any

from servers.drivers.digitalocean.client import DigitalOceanClient
from servers.drivers.digitalocean.droplets import SERVER_TAG, SUSPENDED
from servers.drivers.inventory import RemoteLocation, RemoteNode, RemoteServerSummary, line
from servers.drivers.machines import elastic_node


def locations(cloud: DigitalOceanClient) -> Iterator[RemoteLocation]:
    """Every region."""
    for each in cloud.pages("/regions", "regions"):
        yield RemoteLocation(ref=each["slug"], code=each["slug"], name=line(each["name"]))


def nodes(cloud: DigitalOceanClient) -> Iterator[RemoteNode]:
    """One elastic node for each region; where none can be created now, it is in maintenance."""
    for each in cloud.pages("/regions", "regions"):
        yield elastic_node(each["slug"], each["name"], is_in_maintenance=not each["available"])


def servers(cloud: DigitalOceanClient) -> Iterator[RemoteServerSummary]:
    """Every droplet, ours or not."""
    return (server_summary(each) for each in cloud.pages("/droplets", "droplets"))


def server_summary(each: dict[str, Any]) -> RemoteServerSummary:
    """A droplet, ours or not."""
    keys = (found[1] for tag in each["tags"] if (found := SERVER_TAG.fullmatch(tag)))
    return RemoteServerSummary(
        ref=str(each["id"]),
        key=next(keys, ""),
        name=line(each["name"]),
        node_ref=each["region"]["slug"],
        memory_mib=int(each["memory"]),
        disk_mib=int(each["disk"]) * 1024,
        allocation_refs=(),
        is_suspended=each["status"] == "archive" or (each["status"] == "off" and SUSPENDED in each["tags"]),
        identifier=str(each["id"]),
        build_ref=str(each["size_slug"]),
    )
