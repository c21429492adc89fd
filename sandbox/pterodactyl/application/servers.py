"""Servers: reading, changing, suspending and deleting them."""

from contextlib import suppress
from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import daemon, lifecycle
from sandbox.pterodactyl.application import server_fields
from sandbox.pterodactyl.application.transformers import item, page
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.checks import as_text, is_true
from sandbox.pterodactyl.collation import is_same
from sandbox.pterodactyl.errors import DaemonError, not_found, refusal
from sandbox.pterodactyl.listing import filtered, substring
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Allocation, Server
from sandbox.pterodactyl.validation import validate, validate_environment

routes = Routes("application", "servers")
FILTERS = {
    **{name: substring(name) for name in ("uuid", "name", "description", "image", "external_id")},
    "uuidShort": substring("identifier"),
}


def find_server(call: Call) -> Server:
    """The server of the path. Raises a 404."""
    return call.panel.store.servers.get_or_404(call.row_id())


@routes.add("GET", "/servers")
async def index(call: Call) -> Response:
    """Every server, page by page."""
    return JSONResponse(page(call, filtered(call, call.panel.store.servers, FILTERS)))


@routes.add("GET", "/servers/{id}")
async def show(call: Call) -> Response:
    """One server."""
    return JSONResponse(item(call, find_server(call)))


@routes.add("GET", "/servers/external/{external_id}")
async def show_external(call: Call) -> Response:
    """The server with an external id, compared as the database does."""
    for server in call.panel.store.servers:
        if is_same(server.external_id, call.params["external_id"]):
            return JSONResponse(item(call, server))
    raise not_found()


@routes.add("PATCH", "/servers/{id}/details")
async def details(call: Call) -> Response:
    """Replace name, owner, external id and description; what is not sent is erased."""
    server, fields, panel = find_server(call), call.fields, call.panel
    validate(fields, server_fields.naming(panel, server))
    is_new_owner = server.user_id != int(fields["user"])
    server.name = fields["name"]
    server.user_id = int(fields["user"])
    server.external_id = fields.get("external_id")
    server.description = fields.get("description") or ""
    panel.store.servers.touch(server)
    answer = item(call, server)
    if is_new_owner:
        with suppress(DaemonError):
            await daemon.call_for(panel, server, lambda: None)
    return JSONResponse(answer)


@routes.add("PATCH", "/servers/{id}/build")
async def build(call: Call) -> Response:
    """Replace the limits and move allocations; those that cannot be moved are skipped."""
    server, fields, store = find_server(call), call.fields, call.panel.store
    validate(fields, server_fields.build(call.panel, server))
    held = store.allocations_of(server)
    added = chosen(store.allocations.where(node_id=server.node_id, server_id=None), fields.get("add_allocations"))
    removed = chosen(held, fields.get("remove_allocations"))
    primary = store.allocations.get_or_404(as_text(fields["allocation"]))
    if primary in removed:
        if not added:
            raise refusal("DisplayException", "The default allocation of a server cannot be removed.")
        primary = added[0]
    if primary not in [*held, *added]:
        raise refusal("DisplayException", "The requested default allocation is not assigned to this server.")
    for allocation in added:
        allocation.server_id = server.id
    for allocation in removed:
        allocation.server_id, allocation.notes = None, None
    server.allocation_id = primary.id
    replace_limits(server, fields)
    store.servers.touch(server)
    answer = item(call, server)
    with suppress(DaemonError):
        await daemon.call_for(call.panel, server, lambda: None)
    return JSONResponse(answer)


def chosen(among: list[Allocation], ids: list[Any] | None) -> list[Allocation]:
    """The allocations with these ids, in the order of the ids; ids that are not among them are skipped."""
    by_id = {str(allocation.id): allocation for allocation in among}
    return [by_id[as_text(each)] for each in ids or [] if as_text(each) in by_id]


def replace_limits(server: Server, fields: dict[str, Any]) -> None:
    """Write the limits that were sent; an absent or null allocation limit is stored as null."""
    source = fields.get("limits") or fields
    for name, value in server_fields.read_limits(source).items():
        setattr(server, name, value)
    if "threads" in source:
        server.threads = server_fields.read_threads(source)
    if "oom_disabled" in fields:
        server.is_oom_disabled = is_true(fields["oom_disabled"])
    features = {name: value if value is None else int(value) for name, value in fields["feature_limits"].items()}
    server.database_limit = features["databases"]
    server.allocation_limit = features.get("allocations")
    server.backup_limit = features["backups"] or 0


@routes.add("PATCH", "/servers/{id}/startup")
async def startup(call: Call) -> Response:
    """Replace the startup; a non-empty environment replaces every variable."""
    server, fields, store = find_server(call), call.fields, call.panel.store
    validate(fields, server_fields.startup(call.panel))
    egg = store.eggs.get_or_404(as_text(fields["egg"]))
    sent = server_fields.as_map(fields["environment"])
    if sent:
        server.environment = validate_environment(sent, [(each.env_variable, each.rules) for each in egg.variables])
    server.startup = fields["startup"]
    server.egg_id, server.nest_id = egg.id, egg.nest_id
    server.image = fields["image"]
    server.is_skipping_scripts = is_true(fields["skip_scripts"])
    store.servers.touch(server)
    return JSONResponse(item(call, server))


@routes.add("POST", "/servers/{id}/suspend")
async def suspend(call: Call) -> Response:
    """Suspend a server."""
    await lifecycle.suspend(call.panel, find_server(call))
    return no_content()


@routes.add("POST", "/servers/{id}/unsuspend")
async def unsuspend(call: Call) -> Response:
    """Lift a suspension."""
    await lifecycle.unsuspend(call.panel, find_server(call))
    return no_content()


@routes.add("POST", "/servers/{id}/reinstall")
async def reinstall(call: Call) -> Response:
    """Run the install again."""
    await lifecycle.reinstall(call.panel, find_server(call))
    return no_content()


@routes.add("DELETE", "/servers/{id}")
async def remove(call: Call) -> Response:
    """Delete a server from its node and the panel."""
    await lifecycle.remove(call.panel, find_server(call))
    return no_content()


@routes.add("DELETE", "/servers/{id}/{word}")
async def remove_by_word(call: Call) -> Response:
    """Delete a server; with the word ``force`` by force, and with any other word as without one."""
    delete = lifecycle.remove_by_force if call.params["word"] == "force" else lifecycle.remove
    await delete(call.panel, find_server(call))
    return no_content()
