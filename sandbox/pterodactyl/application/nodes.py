"""Nodes: listing them, the ones that can take more, and their upkeep."""

import uuid
from typing import Any

from starlette.responses import Response

from sandbox.pterodactyl import deployment
from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.collation import exists
from sandbox.pterodactyl.errors import refusal
from sandbox.pterodactyl.keys import random_text
from sandbox.pterodactyl.listing import Filters, includes, narrowed, ordered, page_of, plain_list
from sandbox.pterodactyl.objects import item
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Node
from sandbox.pterodactyl.validation import RuleLine, validate

routes = Routes("application", "nodes")
FILTERS: Filters[Node] = Filters(
    partial={
        "uuid": lambda node: node.uuid,
        "name": lambda node: node.name,
        "fqdn": lambda node: node.fqdn,
        "daemon_token_id": lambda node: node.token[:16],
    },
    sorts={
        "id": lambda node: node.id,
        "uuid": lambda node: node.uuid,
        "memory": lambda node: node.memory,
        "disk": lambda node: node.disk,
    },
)
FIELDS = {
    "name": "name",
    "description": "description",
    "location_id": "location_id",
    "fqdn": "fqdn",
    "scheme": "scheme",
    "memory": "memory",
    "memory_overallocate": "memory_overallocate",
    "disk": "disk",
    "disk_overallocate": "disk_overallocate",
    "upload_size": "upload_size",
    "daemon_listen": "daemon_listen",
    "daemon_sftp": "daemon_sftp",
    "daemon_base": "daemon_base",
}
SWITCHES = {
    "public": "is_public",
    "behind_proxy": "is_behind_proxy",
    "maintenance_mode": "is_under_maintenance",
}


@routes.add("GET", "/nodes")
async def index(call: Call) -> Response:
    """Every node, page by page."""
    found = ordered(call, narrowed(call, call.panel.store.nodes, FILTERS), FILTERS)
    tree = includes(call)
    return reply(page_of(call, found, lambda node: item(call, node, tree)))


@routes.add("GET", "/nodes/deployable")
async def deployable(call: Call) -> Response:
    """The public nodes that can take a server of this size; none is a refusal, not an empty list."""
    validate(
        call.fields,
        {
            "memory": "required|integer|min:0",
            "disk": "required|integer|min:0",
            "location_ids": "array",
            "location_ids.*": "integer",
            "page": "integer",
            "per_page": "integer",
        },
    )
    wanted = call.fields
    found = deployment.viable_nodes(
        call.panel,
        memory=int(wanted["memory"]),
        disk=int(wanted["disk"]),
        location_ids=[int(each) for each in wanted.get("location_ids") or []],
    )
    tree = includes(call)

    def render(node: Node) -> dict[str, Any]:
        shown = item(call, node, tree)
        sums = shown["attributes"]["allocated_resources"]
        shown["attributes"] |= {"sum_memory": str(sums["memory"]), "sum_disk": str(sums["disk"])}
        return shown

    return reply(page_of(call, found, render) if "page" in call.query else plain_list(found, render))


@routes.add("GET", "/nodes/{id}")
async def show(call: Call) -> Response:
    """One node."""
    return reply(item(call, call.panel.store.nodes.must(call.row_id()), includes(call)))


@routes.add("GET", "/nodes/{id}/configuration")
async def configuration(call: Call) -> Response:
    """The daemon's configuration, token included."""
    node = call.panel.store.nodes.must(call.row_id())
    return reply(
        {
            "debug": False,
            "uuid": node.uuid,
            "token_id": node.token[:16],
            "token": node.token,
            "api": {"host": "0.0.0.0", "port": node.daemon_listen, "upload_limit": node.upload_size},  # noqa: S104
            "system": {"data": node.daemon_base, "sftp": {"bind_port": node.daemon_sftp}},
            "remote": call.panel.url,
        }
    )


@routes.add("POST", "/nodes")
async def create(call: Call) -> Response:
    """Make a node; it has no allocations yet."""
    validate(call.fields, rules(call))
    node = Node(uuid=str(uuid.uuid4()), name="", location_id=0, fqdn="", memory=0, disk=0, token=random_text(64))
    fill(node, call.fields)
    call.panel.store.nodes.add(node)
    answer = item(call, node, includes(call))
    answer["meta"] = {"resource": f"{call.panel.url}/api/application/nodes/{node.id}"}
    return reply(answer, 201)


@routes.add("PATCH", "/nodes/{id}")
async def update(call: Call) -> Response:
    """Change a node."""
    node = call.panel.store.nodes.must(call.row_id())
    validate(call.fields, rules(call))
    fill(node, call.fields)
    call.panel.store.nodes.touch(node)
    return reply(item(call, node, includes(call)))


@routes.add("DELETE", "/nodes/{id}")
async def remove(call: Call) -> Response:
    """Delete a node without servers, and its allocations with it."""
    store = call.panel.store
    node = store.nodes.must(call.row_id())
    if store.servers.where(node_id=node.id):
        raise refusal("HasActiveServersException", "The node has servers linked to it.")
    for allocation in store.allocations.where(node_id=node.id):
        store.allocations.remove(allocation)
    store.nodes.remove(node)
    return no_content()


def rules(call: Call) -> dict[str, RuleLine]:
    """The rules for a node's fields."""
    locations = call.panel.store.locations
    return {
        "name": r"required|string|min:1|max:100|regex:/^([\w .-]+)$/",
        "description": "string|nullable",
        "location_id": ["required", "integer", exists(lambda value: locations.get(value) is not None)],
        "public": "boolean",
        "fqdn": "required|string",
        "scheme": "required|string|in:http,https",
        "behind_proxy": "boolean",
        "memory": "required|numeric|min:1",
        "memory_overallocate": "required|numeric|min:-1",
        "disk": "required|numeric|min:1",
        "disk_overallocate": "required|numeric|min:-1",
        "daemon_sftp": "required|numeric|between:1,65535",
        "daemon_listen": "required|numeric|between:1,65535",
        "maintenance_mode": "boolean",
        "upload_size": "integer|between:1,1024",
    }


def fill(node: Node, fields: dict[str, Any]) -> None:
    """Take over the fields that were sent."""
    for name, attribute in FIELDS.items():
        if name in fields:
            kind = type(getattr(node, attribute))
            setattr(node, attribute, int(fields[name]) if kind is int else fields[name])
    for name, attribute in SWITCHES.items():
        if name in fields:
            setattr(node, attribute, fields[name] in (True, 1, "1"))
