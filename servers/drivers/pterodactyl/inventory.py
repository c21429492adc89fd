"""Everything a panel has, read page by page."""

from typing import Any

from core.masking import storable
from servers.drivers.base import (
    Inventory,
    RemoteAllocation,
    RemoteEgg,
    RemoteEggVariable,
    RemoteLocation,
    RemoteNest,
    RemoteNode,
    RemoteServerSummary,
)
from servers.drivers.pterodactyl.client import PanelClient, related

LONGEST = 191


def inventory(panel: PanelClient) -> Inventory:
    """All lists, one after another: what changes meanwhile is seen by the next look."""
    nodes = tuple(_node(each) for each in panel.pages("/nodes"))
    nests = tuple(_nest(each) for each in panel.pages("/nests"))
    return Inventory(
        places=tuple(_place(each) for each in panel.pages("/locations")),
        nodes=nodes,
        ports=tuple(port for node in nodes for port in _ports(panel, node.ref)),
        servers=tuple(_server(each) for each in panel.pages("/servers", {"include": "allocations"})),
        nests=nests,
        eggs=tuple(egg for nest in nests for egg in _eggs(panel, nest.ref)),
    )


def _ports(panel: PanelClient, node_ref: str) -> list[RemoteAllocation]:
    return [
        RemoteAllocation(
            ref=str(each["id"]),
            node_ref=node_ref,
            ip=_line(each["ip"], 45),
            alias=_line(each.get("alias")),
            port=int(each["port"]),
            is_assigned=bool(each["assigned"]),
        )
        for each in panel.pages(f"/nodes/{int(node_ref)}/allocations")
    ]


def _eggs(panel: PanelClient, nest_ref: str) -> list[RemoteEgg]:
    """The eggs of a nest with their variables; this list has no pages."""
    return [_egg(each, nest_ref) for each in panel.pages(f"/nests/{int(nest_ref)}/eggs", {"include": "variables"})]


def _place(each: dict[str, Any]) -> RemoteLocation:
    return RemoteLocation(ref=str(each["id"]), code=_line(each["short"], 60), name=_line(each.get("long")))


def _node(each: dict[str, Any]) -> RemoteNode:
    """A node. An overcommit of -1 ("no check") is not taken over: we always check."""
    return RemoteNode(
        ref=str(each["id"]),
        place_ref=str(each["location_id"]),
        name=_line(each["name"]),
        memory_mib=max(int(each["memory"]), 0),
        disk_mib=max(int(each["disk"]), 0),
        memory_overcommit_percent=max(int(each["memory_overallocate"]), 0),
        disk_overcommit_percent=max(int(each["disk_overallocate"]), 0),
        is_open=bool(each["public"]),
        is_in_maintenance=bool(each["maintenance_mode"]),
    )


def _server(each: dict[str, Any]) -> RemoteServerSummary:
    ports = [str(port["id"]) for port in related(each, "allocations")]
    return RemoteServerSummary(
        ref=str(each["id"]),
        key=str(each.get("external_id") or ""),
        name=_line(each.get("name")),
        node_ref=str(each["node"]),
        memory_mib=max(int(each["limits"]["memory"]), 0),
        disk_mib=max(int(each["limits"]["disk"]), 0),
        allocation_refs=tuple({*ports, str(each["allocation"])}),
    )


def _nest(each: dict[str, Any]) -> RemoteNest:
    return RemoteNest(
        ref=str(each["id"]),
        name=_line(each["name"]),
        author=_line(each.get("author")),
        description=_text(each.get("description")),
    )


def _egg(each: dict[str, Any], nest_ref: str) -> RemoteEgg:
    offered = each.get("docker_images")
    images = offered if isinstance(offered, dict) else {}
    return RemoteEgg(
        ref=str(each["id"]),
        nest_ref=nest_ref,
        name=_line(each["name"]),
        author=_line(each.get("author")),
        description=_text(each.get("description")),
        docker_images={_line(label): _line(image) for label, image in images.items()}
        if isinstance(images, dict)
        else {},
        first_image=_line(each.get("docker_image") or next(iter(images.values()), "")),
        startup=_text(each.get("startup")),
        variables=tuple(_variable(variable) for variable in related(each, "variables")),
    )


def _variable(each: dict[str, Any]) -> RemoteEggVariable:
    return RemoteEggVariable(
        ref=str(each["id"]),
        name=_line(each["name"]),
        description=_text(each.get("description")),
        env_variable=_line(each["env_variable"]),
        default_value=_text(each.get("default_value")),
        is_user_viewable=bool(each["user_viewable"]),
        is_user_editable=bool(each["user_editable"]),
        rules=_text(each.get("rules")),
    )


def _text(value: Any) -> str:
    return storable(str(value)) if value is not None else ""


def _line(value: Any, longest: int = LONGEST) -> str:
    return _text(value)[:longest]
