"""Locations; here they can only be read."""

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl.application.transformers import page
from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.listing import filtered, substring
from sandbox.pterodactyl.routing import Routes

routes = Routes("application", "locations")
FILTERS = {"short": substring("short"), "long": substring("long")}


@routes.add("GET", "/locations")
async def index(call: Call) -> Response:
    """Every location, page by page."""
    return JSONResponse(page(call, filtered(call, call.panel.store.locations, FILTERS)))
