"""Nodes; here they can only be read."""

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl.application.transformers import item, page
from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.listing import filtered, substring
from sandbox.pterodactyl.routing import Routes

routes = Routes("application", "nodes")
FILTERS = {name: substring(name) for name in ("uuid", "name", "fqdn")}


@routes.add("GET", "/nodes")
async def index(call: Call) -> Response:
    """Every node, page by page."""
    return JSONResponse(page(call, filtered(call, call.panel.store.nodes, FILTERS)))


@routes.add("GET", "/nodes/{id}")
async def show(call: Call) -> Response:
    """One node."""
    return JSONResponse(item(call, call.panel.store.nodes.get_or_404(call.row_id())))
