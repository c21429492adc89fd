"""Everything that a panel has, read page by page."""

from collections.abc import Iterator
from typing import Any

from servers.drivers.inventory import (
    RemoteAccount,
    RemoteAllocation,
    RemoteEgg,
    RemoteEggVariable,
    RemoteLocation,
    RemoteNest,
    RemoteNode,
    RemoteServerSummary,
    line,
    text,
)
from servers.drivers.pterodactyl.client import PanelClient, related


def locations(panel: PanelClient) -> Iterator[RemoteLocation]:
    """Every location."""
    for each in panel.pages("/locations"):
        yield RemoteLocation(ref=str(each["id"]), code=line(each["short"], 60), name=line(each.get("long")))


def nodes(panel: PanelClient) -> Iterator[RemoteNode]:
    """Every node."""
    return (remote_node(each) for each in panel.pages("/nodes"))


def servers(panel: PanelClient) -> Iterator[RemoteServerSummary]:
    """Every server, with the ports that it has."""
    return (remote_server_summary(each) for each in panel.pages("/servers", {"include": "allocations"}))


def allocations(panel: PanelClient) -> Iterator[RemoteAllocation]:
    """Every port of every node."""
    for node in nodes(panel):
        for each in panel.pages(f"/nodes/{int(node.ref)}/allocations"):
            yield RemoteAllocation(
                ref=str(each["id"]),
                node_ref=node.ref,
                ip=line(each["ip"], 45),
                alias=line(each.get("alias")),
                port=int(each["port"]),
                is_assigned=bool(each["assigned"]),
            )


def nests(panel: PanelClient) -> Iterator[RemoteNest]:
    """Every nest."""
    for each in panel.pages("/nests"):
        yield RemoteNest(
            ref=str(each["id"]),
            name=line(each["name"]),
            author=line(each.get("author")),
            description=text(each.get("description")),
        )


def eggs(panel: PanelClient) -> Iterator[RemoteEgg]:
    """Every egg of every nest, with its variables."""
    for nest in nests(panel):
        for each in panel.pages(f"/nests/{int(nest.ref)}/eggs", {"include": "variables"}):
            yield remote_egg(each, nest.ref)


def accounts(panel: PanelClient) -> Iterator[RemoteAccount]:
    """Every user's account."""
    for each in panel.pages("/users"):
        yield RemoteAccount(
            ref=str(each["id"]),
            key=line(each.get("external_id")).lower(),
            username=line(each.get("username")),
            email=line(each.get("email")),
            is_admin=bool(each.get("root_admin")),
        )


def remote_node(each: dict[str, Any]) -> RemoteNode:
    """A node. An overcommit of -1 ("no check") is not taken over: we always check."""
    return RemoteNode(
        ref=str(each["id"]),
        location_ref=str(each["location_id"]),
        name=line(each["name"]),
        memory_mib=max(int(each["memory"]), 0),
        disk_mib=max(int(each["disk"]), 0),
        memory_overcommit_percent=max(int(each["memory_overallocate"]), 0),
        disk_overcommit_percent=max(int(each["disk_overallocate"]), 0),
        is_public=bool(each["public"]),
        is_in_maintenance=bool(each["maintenance_mode"]),
    )


def remote_server_summary(each: dict[str, Any]) -> RemoteServerSummary:
    """A server, ours or not."""
    primary, ports = str(each["allocation"]), {str(port["id"]) for port in related(each, "allocations")}
    return RemoteServerSummary(
        ref=str(each["id"]),
        key=line(each.get("external_id")),
        name=line(each.get("name")),
        node_ref=str(each["node"]),
        memory_mib=max(int(each["limits"]["memory"]), 0),
        disk_mib=max(int(each["limits"]["disk"]), 0),
        allocation_refs=(primary, *sorted(ports - {primary})),
        cpu_percent=max(int(each["limits"]["cpu"]), 0),
        account_ref=str(each["user"]),
        is_suspended=each.get("status") == "suspended",
        identifier=line(each["identifier"]),
        build_ref=str(each["egg"]),
    )


def remote_egg(each: dict[str, Any], nest_ref: str) -> RemoteEgg:
    """An egg with its variables."""
    offered = each.get("docker_images")
    images = offered if isinstance(offered, dict) else {}
    return RemoteEgg(
        ref=str(each["id"]),
        nest_ref=nest_ref,
        name=line(each["name"]),
        author=line(each.get("author")),
        description=text(each.get("description")),
        docker_images={line(label): line(image) for label, image in images.items()},
        first_image=line(each.get("docker_image") or next(iter(images.values()), "")),
        startup=text(each.get("startup")),
        variables=tuple(
            RemoteEggVariable(
                ref=str(variable["id"]),
                name=line(variable["name"]),
                description=text(variable.get("description")),
                env_variable=line(variable["env_variable"]),
                default_value=text(variable.get("default_value")),
                is_user_viewable=bool(variable["user_viewable"]),
                is_user_editable=bool(variable["user_editable"]),
                rules=text(variable.get("rules")),
            )
            for variable in related(each, "variables")
        ),
    )
