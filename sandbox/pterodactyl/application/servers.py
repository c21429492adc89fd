"""Servers: reading, renaming, rebuilding, suspending and deleting them."""

from typing import Any

from starlette.responses import Response

from sandbox.pterodactyl import daemon, lifecycle, server_rules
from sandbox.pterodactyl.application.creation import as_map, is_true, limits, threads
from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.checks import as_text
from sandbox.pterodactyl.collation import same
from sandbox.pterodactyl.errors import missing, refusal
from sandbox.pterodactyl.listing import Filters, includes, narrowed, ordered, page_of
from sandbox.pterodactyl.objects import item
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Allocation, Server
from sandbox.pterodactyl.validation import validate, validate_environment

routes = Routes("application", "servers")
FILTERS: Filters[Server] = Filters(
    partial={
        "uuid": lambda server: server.uuid,
        "uuidShort": lambda server: server.identifier,
        "name": lambda server: server.name,
        "description": lambda server: server.description,
        "image": lambda server: server.image,
        "external_id": lambda server: server.external_id,
    },
    sorts={"id": lambda server: server.id, "uuid": lambda server: server.uuid},
)


def named(call: Call) -> Server:
    """The server of the path. Raises a 404."""
    return call.panel.store.servers.must(call.row_id())


def shown(call: Call, server: Server) -> Response:
    """A server as the answer."""
    return reply(item(call, server, includes(call)))


@routes.add("GET", "/servers")
async def index(call: Call) -> Response:
    """Every server, page by page."""
    found = ordered(call, narrowed(call, call.panel.store.servers, FILTERS), FILTERS)
    tree = includes(call)
    return reply(page_of(call, found, lambda server: item(call, server, tree)))


@routes.add("GET", "/servers/{id}")
async def show(call: Call) -> Response:
    """One server."""
    return shown(call, named(call))


@routes.add("GET", "/servers/external/{external_id}")
async def show_external(call: Call) -> Response:
    """The server with an outside id, compared as the database does."""
    for server in call.panel.store.servers:
        if same(server.external_id, call.params["external_id"]):
            return shown(call, server)
    raise missing()


@routes.add("PATCH", "/servers/{id}/details")
async def details(call: Call) -> Response:
    """Replace name, owner, outside id and description; what is not sent is erased."""
    server, fields, panel = named(call), call.fields, call.panel
    validate(fields, server_rules.naming(panel, server))
    is_new_owner = server.user_id != int(fields["user"])
    server.name = fields["name"]
    server.user_id = int(fields["user"])
    server.external_id = fields.get("external_id")
    server.description = fields.get("description") or ""
    panel.store.servers.touch(server)
    answer = shown(call, server)
    if is_new_owner:
        await daemon.ask_quietly(panel, server, lambda: None)
    return answer


@routes.add("PATCH", "/servers/{id}/build")
async def build(call: Call) -> Response:
    """Replace the limits and move allocations; those that cannot be moved are passed over."""
    server, fields, panel = named(call), call.fields, call.panel
    validate(fields, server_rules.build(panel, server))
    primary, added, removed = planned_allocations(call, server)
    for allocation in added:
        allocation.server_id = server.id
    for allocation in removed:
        allocation.server_id = None
        allocation.notes = None
    server.allocation_id = primary.id
    take_limits(server, fields)
    panel.store.servers.touch(server)
    answer = shown(call, server)
    await daemon.ask_quietly(panel, server, lambda: None)
    return answer


def planned_allocations(call: Call, server: Server) -> tuple[Allocation, list[Allocation], list[Allocation]]:
    """The primary allocation, those to add and those to remove.

    Raises a 400 when the primary would be lost, or is none of the server's.
    """
    store, fields = call.panel.store, call.fields
    held = store.allocations_of(server)
    free = store.allocations.where(node_id=server.node_id, server_id=None)
    added = chosen(free, fields.get("add_allocations"))
    removed = chosen(held, fields.get("remove_allocations"))
    primary = store.allocations.must(as_text(fields["allocation"]))
    if primary in removed:
        if not added:
            raise refusal("DisplayException", "The default allocation of a server cannot be removed.")
        primary = added[0]
    if primary not in [*held, *added]:
        raise refusal("DisplayException", "The requested default allocation is not assigned to this server.")
    return primary, added, [each for each in removed if each is not primary]


def chosen(among: list[Allocation], ids: list[Any] | None) -> list[Allocation]:
    """The allocations named, in the order of the naming; the others are silently left out."""
    by_id = {str(allocation.id): allocation for allocation in among}
    return [by_id[as_text(each)] for each in ids or [] if as_text(each) in by_id]


def take_limits(server: Server, fields: dict[str, Any]) -> None:
    """Take over limits; an absent or null allocation limit is stored as null."""
    source = fields.get("limits") or fields
    for name, value in limits(source).items():
        setattr(server, name, value)
    if "threads" in source:
        server.threads = threads(source)
    if "oom_disabled" in fields:
        server.is_oom_disabled = is_true(fields["oom_disabled"])
    features = {name: value if value is None else int(value) for name, value in fields["feature_limits"].items()}
    server.database_limit = features["databases"]
    server.allocation_limit = features.get("allocations")
    server.backup_limit = features["backups"] or 0


@routes.add("PATCH", "/servers/{id}/startup")
async def startup(call: Call) -> Response:
    """Replace the startup; a non-empty environment replaces every variable."""
    server, fields, panel = named(call), call.fields, call.panel
    validate(fields, server_rules.startup(panel))
    egg = panel.store.eggs.must(as_text(fields["egg"]))
    sent = as_map(fields["environment"])
    if sent:
        variables = [(each.env_variable, each.rules) for each in egg.variables]
        server.environment = validate_environment(sent, variables)
    server.startup = fields["startup"]
    server.egg_id, server.nest_id = egg.id, egg.nest_id
    server.image = fields["image"]
    server.is_skipping_scripts = is_true(fields["skip_scripts"])
    panel.store.servers.touch(server)
    return shown(call, server)


@routes.add("POST", "/servers/{id}/suspend")
async def suspend(call: Call) -> Response:
    """Suspend a server."""
    await lifecycle.suspend(call.panel, named(call))
    return no_content()


@routes.add("POST", "/servers/{id}/unsuspend")
async def unsuspend(call: Call) -> Response:
    """Lift a suspension."""
    await lifecycle.unsuspend(call.panel, named(call))
    return no_content()


@routes.add("POST", "/servers/{id}/reinstall")
async def reinstall(call: Call) -> Response:
    """Run the install again."""
    await lifecycle.reinstall(call.panel, named(call))
    return no_content()


@routes.add("DELETE", "/servers/{id}")
async def remove(call: Call) -> Response:
    """Delete a server from its node and the panel."""
    await lifecycle.remove(call.panel, named(call))
    return no_content()


@routes.add("DELETE", "/servers/{id}/{word}")
async def remove_by_word(call: Call) -> Response:
    """Delete a server; the word ``force`` forces, and any other word deletes all the same."""
    work = lifecycle.remove_by_force if call.params["word"] == "force" else lifecycle.remove
    await work(call.panel, named(call))
    return no_content()
