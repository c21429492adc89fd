"""Nests and their eggs; here they can only be read."""

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl.application.transformers import item, page
from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.errors import not_found
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.transformers import plain_list

routes = Routes("application", "nests")


@routes.add("GET", "/nests")
async def index(call: Call) -> Response:
    """Every nest, page by page."""
    return JSONResponse(page(call, call.panel.store.nests))


@routes.add("GET", "/nests/{id}/eggs", "eggs")
async def eggs(call: Call) -> Response:
    """A nest's eggs, without pages."""
    nest = call.panel.store.nests.get_or_404(call.row_id())
    return JSONResponse(plain_list(item(call, egg) for egg in call.panel.store.eggs.where(nest_id=nest.id)))


@routes.add("GET", "/nests/{id}/eggs/{egg}", "eggs")
async def egg(call: Call) -> Response:
    """One egg of a nest."""
    found = call.panel.store.eggs.get_or_404(call.row_id("egg"))
    if found.nest_id != call.row_id():
        raise not_found()
    return JSONResponse(item(call, found))
