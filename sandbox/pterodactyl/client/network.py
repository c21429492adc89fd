"""A server's allocations as its users manage them."""

import asyncio

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.client import access, transformers
from sandbox.pterodactyl.errors import not_found, refusal
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Allocation, Server
from sandbox.pterodactyl.transformers import plain_list
from sandbox.pterodactyl.validation import validate

routes = Routes("client")
AUTO_ALLOCATION_PORTS = range(27000, 27100)


def find_allocation(call: Call, server: Server) -> Allocation:
    """The allocation of the path, if it is the server's. Raises a 404."""
    allocation = call.panel.store.allocations.get_or_404(call.row_id("allocation"))
    if allocation.server_id != server.id:
        raise not_found()
    return allocation


@routes.add("GET", "/servers/{server}/network/allocations")
async def index(call: Call) -> Response:
    """A server's allocations, without pages."""
    server = access.usable_server(call)
    allocations = call.panel.store.allocations_of(server)
    return JSONResponse(plain_list(transformers.allocation(server, each) for each in allocations))


@routes.add("POST", "/servers/{server}/network/allocations")
async def add(call: Call) -> Response:
    """Assign one more free allocation of the server's own address, or else a new port."""
    server, panel, allocations = access.usable_server(call), call.panel, call.panel.store.allocations
    if not panel.settings.is_auto_allocation_enabled:
        raise refusal("AutoAllocationNotEnabledException", "Server auto-allocation is not enabled for this instance.")
    if len(panel.store.allocations_of(server)) >= (server.allocation_limit or 0):
        raise refusal("DisplayException", "Cannot assign additional allocations: limit has been reached.")
    await asyncio.sleep(panel.settings.race_delay_ms / 1000)
    ip = allocations.get_or_404(server.allocation_id).ip
    existing = allocations.where(node_id=server.node_id, ip=ip)
    free = [each for each in existing if each.server_id is None]
    if not free:
        unused = sorted(set(AUTO_ALLOCATION_PORTS) - {each.port for each in existing})
        if not unused:
            detail = "No additional allocation space available on the node."
            raise refusal("NoAutoAllocationSpaceAvailableException", detail)
        free = [allocations.add(Allocation(node_id=server.node_id, ip=ip, port=panel.rng.choice(unused)))]
    allocation = panel.rng.choice(free)
    allocation.server_id = server.id
    return JSONResponse(transformers.allocation(server, allocation))


@routes.add("POST", "/servers/{server}/network/allocations/{allocation}")
async def set_notes(call: Call) -> Response:
    """Write a note on an allocation."""
    server = access.usable_server(call)
    allocation = find_allocation(call, server)
    validate(call.fields, {"notes": "present|nullable|string|max:256"})
    allocation.notes = call.fields["notes"]
    return JSONResponse(transformers.allocation(server, allocation))


@routes.add("POST", "/servers/{server}/network/allocations/{allocation}/primary")
async def make_primary(call: Call) -> Response:
    """Make an allocation the primary one."""
    server = access.usable_server(call)
    allocation = find_allocation(call, server)
    server.allocation_id = allocation.id
    return JSONResponse(transformers.allocation(server, allocation))


@routes.add("DELETE", "/servers/{server}/network/allocations/{allocation}")
async def remove(call: Call) -> Response:
    """Release an allocation that is not the primary one."""
    server = access.usable_server(call)
    allocation = find_allocation(call, server)
    if not server.allocation_limit:
        raise refusal("DisplayException", "You cannot delete allocations for this server: no limit is set.")
    if allocation.id == server.allocation_id:
        raise refusal("DisplayException", "You cannot delete the primary allocation for this server.")
    allocation.server_id, allocation.notes = None, None
    return no_content()
