"""The allocations of a server: listed, and with notes."""

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.client import access, transformers
from sandbox.pterodactyl.errors import not_found
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.transformers import plain_list
from sandbox.pterodactyl.validation import validate

routes = Routes("client")


@routes.add("GET", "/servers/{server}/network/allocations")
async def index(call: Call) -> Response:
    """A server's allocations, without pages."""
    server = access.usable_server(call)
    found = call.panel.store.allocations_of(server)
    return JSONResponse(plain_list(transformers.allocation(server, each) for each in found))


@routes.add("POST", "/servers/{server}/network/allocations/{allocation}")
async def set_note(call: Call) -> Response:
    """Replace the note of an allocation."""
    server = access.usable_server(call)
    validate(call.fields, {"notes": "nullable|string|max:255"})
    allocation = call.panel.store.allocations.get(call.params["allocation"])
    if allocation is None or allocation.server_id != server.id:
        raise not_found()
    allocation.notes = call.fields.get("notes")
    return JSONResponse(transformers.allocation(server, allocation))
