"""Creating a server: three validations, an insert that may lose a race, and a call to the node."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from sandbox.pterodactyl import daemon, deployment, lifecycle, server_rules
from sandbox.pterodactyl.call import Call, reply
from sandbox.pterodactyl.checks import as_text
from sandbox.pterodactyl.collation import same
from sandbox.pterodactyl.errors import DaemonFailure, lost_race
from sandbox.pterodactyl.listing import includes
from sandbox.pterodactyl.objects import item
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Allocation, Egg, Server
from sandbox.pterodactyl.validation import validate, validate_environment

routes = Routes("application", "servers")


@routes.add("POST", "/servers")
async def create(call: Call) -> Response:
    """Make a server; its row is visible before the node has answered, and gone again when the node fails."""
    fields, panel = call.fields, call.panel
    validate(fields, server_rules.creation(panel, is_deployed=bool(fields.get("deploy"))))
    primary = chosen_allocation(call)
    egg = panel.store.eggs.must(as_text(fields["egg"]))
    variables = [(each.env_variable, each.rules) for each in egg.variables]
    environment = validate_environment(as_map(fields["environment"]), variables)
    await asyncio.sleep(panel.settings.race_delay_ms / 1000)
    refuse_lost_race(call, primary)
    server = insert(call, egg, primary, environment)
    answer = item(call, server, includes(call))
    panel.commit()
    await tell_node(call, server)
    return reply(answer, 201)


def as_map(environment: object) -> Mapping[str, object]:
    """The variables that were sent; an empty list is an empty object."""
    return environment if isinstance(environment, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """The items of a list, or of an object that passes for one."""
    return list(value.values()) if isinstance(value, Mapping) else list(value)


def is_true(value: object) -> bool:
    """A boolean field's meaning."""
    return value in (True, 1, "1")


def chosen_allocation(call: Call) -> Allocation:
    """The primary allocation: the one named, or one the panel picks.

    Raises a 400 when automatic deployment finds no node or no port.
    """
    fields, panel = call.fields, call.panel
    wanted = fields.get("deploy")
    if not wanted:
        return panel.store.allocations.must(as_text(fields["allocation"]["default"]))
    nodes = deployment.viable_nodes(
        panel,
        memory=int(float(fields["limits"]["memory"])),
        disk=int(float(fields["limits"]["disk"])),
        location_ids=[int(each) for each in as_list(wanted["locations"])],
    )
    return deployment.pick_allocation(
        panel,
        nodes,
        is_ip_dedicated=wanted["dedicated_ip"] not in (False, 0, "0"),
        port_range=as_list(wanted["port_range"]),
    )


def refuse_lost_race(call: Call, primary: Allocation) -> None:
    """Hit the unique indexes of outside id and primary allocation.

    Raises a 500 with either of the two codes.
    """
    for server in call.panel.store.servers:
        is_same_id = same(server.external_id, call.fields.get("external_id"))
        if is_same_id or server.allocation_id == primary.id:
            raise lost_race(call.panel.rng.choice(["QueryException", "DataValidationException"]))


def insert(call: Call, egg: Egg, primary: Allocation, environment: dict[str, str]) -> Server:
    """Write the row and its allocations; additional ones are taken from whoever holds them."""
    fields, store = call.fields, call.panel.store
    features = fields["feature_limits"]
    server = Server(
        uuid=str(uuid.uuid4()),
        external_id=fields.get("external_id"),
        name=fields["name"],
        description=fields.get("description") or "",
        user_id=int(fields["user"]),
        node_id=primary.node_id,
        allocation_id=primary.id,
        nest_id=egg.nest_id,
        egg_id=egg.id,
        startup=fields["startup"],
        image=fields["docker_image"],
        threads=threads(fields["limits"]),
        is_oom_disabled=is_true(fields.get("oom_disabled", True)),
        is_skipping_scripts=is_true(fields.get("skip_scripts")),
        database_limit=int(features.get("databases") or 0),
        allocation_limit=int(features.get("allocations") or 0),
        backup_limit=int(features.get("backups") or 0),
        environment=environment,
        **limits(fields["limits"]),
    )
    server.runtime.should_start = is_true(fields.get("start_on_completion"))
    store.servers.add(server)
    for allocation in [primary, *additional(call)]:
        allocation.server_id = server.id
    return server


def limits(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The five numeric limits."""
    return {name: int(float(fields[name])) for name in server_rules.LIMITS}


def threads(fields: Mapping[str, Any]) -> str | None:
    """The threads a server is pinned to."""
    return None if fields.get("threads") is None else str(fields["threads"])


def additional(call: Call) -> list[Allocation]:
    """The additional allocations that exist, whatever node they are on and whoever holds them."""
    asked = as_map(call.fields.get("allocation")).get("additional")
    found = (call.panel.store.allocations.get(as_text(each)) for each in (asked if isinstance(asked, list) else []))
    return [allocation for allocation in found if allocation is not None]


async def tell_node(call: Call, server: Server) -> None:
    """Have the node take the server in; when it fails, clean up on the node and drop the row.

    Raises DaemonFailure.
    """
    panel = call.panel
    node = panel.store.nodes.must(server.node_id)
    try:
        await daemon.ask(panel, node, lambda: accept(call, server))
    except DaemonFailure:
        if panel.store.servers.get(server.id) is server:
            await lifecycle.remove_by_force(panel, server)
        raise


def accept(call: Call, server: Server) -> None:
    """The node's side: note the server and install it, unless it was deleted meanwhile."""
    if call.panel.store.servers.get(server.id) is server:
        lifecycle.begin_install(call.panel, server, is_reinstall=False)
