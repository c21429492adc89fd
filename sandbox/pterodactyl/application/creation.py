"""Creating a server: three validations, an insert that may lose a race, and a call to the node."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import daemon, deployment, lifecycle
from sandbox.pterodactyl.application import server_fields
from sandbox.pterodactyl.application.transformers import item
from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.checks import as_text, is_true
from sandbox.pterodactyl.collation import is_same
from sandbox.pterodactyl.errors import DaemonError, PanelError
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Allocation, Egg, Server
from sandbox.pterodactyl.validation import validate, validate_environment

routes = Routes("application", "servers")


@routes.add("POST", "/servers")
async def create(call: Call) -> Response:
    """Make a server; its row is visible before the node has answered, and gone again when the call to it fails."""
    fields, panel = call.fields, call.panel
    store = panel.store
    # Each of the three steps reports alone: the fields, the choice of node and port, the egg's variables.
    validate(fields, server_fields.creation(panel, is_deployed=bool(fields.get("deploy"))))
    if fields.get("deploy"):
        primary = deploy(call)
    else:
        primary = store.allocations.get_or_404(as_text(fields["allocation"]["default"]))
    egg = store.eggs.get_or_404(as_text(fields["egg"]))
    variables = [(each.env_variable, each.rules) for each in egg.variables]
    environment = validate_environment(server_fields.as_map(fields["environment"]), variables)
    await asyncio.sleep(panel.settings.race_delay_ms / 1000)
    # The database has unique indexes on the external id and on the primary allocation.
    for other in store.servers:
        if is_same(other.external_id, fields.get("external_id")) or other.allocation_id == primary.id:
            raise PanelError(500, panel.rng.choice(["QueryException", "DataValidationException"]))
    server = insert(call, egg, primary, environment)
    answer = item(call, server)
    panel.save()  # the transaction ends here, before the call to the node

    def install() -> None:
        if store.servers.get(server.id) is server:
            lifecycle.begin_install(panel, server, is_reinstall=False)

    try:
        await daemon.call(panel, install)
    except DaemonError:
        if store.servers.get(server.id) is server:
            await lifecycle.remove_by_force(panel, server)
        raise
    return JSONResponse(answer, 201)


def deploy(call: Call) -> Allocation:
    """The primary allocation that the panel picks. Raises a 400 when no node or no port is found."""
    limits, wanted = call.fields["limits"], call.fields["deploy"]
    nodes = deployment.viable_nodes(
        call.panel,
        memory=int(float(limits["memory"])),
        disk=int(float(limits["disk"])),
        location_ids=[int(each) for each in as_list(wanted["locations"])],
    )
    return deployment.pick_allocation(
        call.panel,
        nodes,
        is_ip_dedicated=wanted["dedicated_ip"] not in (False, 0, "0"),
        port_range=as_list(wanted["port_range"]),
    )


def as_list(value: Any) -> list[Any]:
    """The items of a list, or of an object that passes for one."""
    return list(value.values()) if isinstance(value, Mapping) else list(value)


def insert(call: Call, egg: Egg, primary: Allocation, environment: dict[str, str]) -> Server:
    """Write the row and assign its allocations, the additional ones even if they are another server's."""
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
        threads=server_fields.read_threads(fields["limits"]),
        is_oom_disabled=is_true(fields.get("oom_disabled", True)),
        is_skipping_scripts=is_true(fields.get("skip_scripts")),
        database_limit=int(features.get("databases") or 0),
        allocation_limit=int(features.get("allocations") or 0),
        backup_limit=int(features.get("backups") or 0),
        environment=environment,
        **server_fields.read_limits(fields["limits"]),
    )
    server.runtime.should_start = is_true(fields.get("start_on_completion"))
    store.servers.add(server)
    asked = server_fields.as_map(fields.get("allocation")).get("additional")
    additional = [store.allocations.get(as_text(each)) for each in (asked if isinstance(asked, list) else [])]
    for allocation in [primary, *additional]:
        if allocation is not None:
            allocation.server_id = server.id
    return server
