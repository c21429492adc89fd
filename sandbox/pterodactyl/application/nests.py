"""Nests and their eggs; both are read only here."""

from starlette.responses import Response

from sandbox.pterodactyl.call import Call, reply
from sandbox.pterodactyl.errors import missing
from sandbox.pterodactyl.listing import includes, page_of, plain_list
from sandbox.pterodactyl.objects import item
from sandbox.pterodactyl.routing import Routes

routes = Routes("application", "nests")


@routes.add("GET", "/nests")
async def index(call: Call) -> Response:
    """Every nest, page by page."""
    tree = includes(call)
    return reply(page_of(call, list(call.panel.store.nests), lambda nest: item(call, nest, tree)))


@routes.add("GET", "/nests/{id}")
async def show(call: Call) -> Response:
    """One nest."""
    return reply(item(call, call.panel.store.nests.must(call.row_id()), includes(call)))


@routes.add("GET", "/nests/{id}/eggs", "eggs")
async def eggs(call: Call) -> Response:
    """A nest's eggs, all at once."""
    nest = call.panel.store.nests.must(call.row_id())
    tree = includes(call)
    return reply(plain_list(call.panel.store.eggs.where(nest_id=nest.id), lambda egg: item(call, egg, tree)))


@routes.add("GET", "/nests/{id}/eggs/{egg}", "eggs")
async def egg(call: Call) -> Response:
    """One egg of a nest."""
    nest = call.panel.store.nests.must(call.row_id())
    found = call.panel.store.eggs.must(call.row_id("egg"))
    if found.nest_id != nest.id:
        raise missing()
    return reply(item(call, found, includes(call)))
