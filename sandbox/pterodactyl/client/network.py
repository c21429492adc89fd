"""A server's allocations as its users manage them."""

import asyncio

from starlette.responses import Response

from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.client import access, shapes
from sandbox.pterodactyl.errors import missing, refusal
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Allocation, Server
from sandbox.pterodactyl.validation import validate

routes = Routes("client")


def named(call: Call, server: Server) -> Allocation:
    """The allocation of the path, if it is the server's. Raises a 404."""
    allocation = call.panel.store.allocations.must(call.row_id("allocation"))
    if allocation.server_id != server.id:
        raise missing()
    return allocation


@routes.add("GET", "/servers/{server}/network/allocations")
async def index(call: Call) -> Response:
    """A server's allocations, all at once."""
    server = access.server_for(call, "allocation.read")
    return reply(shapes.listed([shapes.allocation(call, each) for each in call.panel.store.allocations_of(server)]))


@routes.add("POST", "/servers/{server}/network/allocations")
async def add(call: Call) -> Response:
    """Give the server one more port on its own address, out of the common pool."""
    server, panel = access.server_for(call, "allocation.create"), call.panel
    if not panel.settings.is_auto_allocation_enabled:
        raise refusal("AutoAllocationNotEnabledException", "Server auto-allocation is not enabled for this instance.")
    if len(panel.store.allocations_of(server)) >= (server.allocation_limit or 0):
        raise refusal("DisplayException", "Cannot assign additional allocations: limit has been reached.")
    await asyncio.sleep(panel.settings.race_delay_ms / 1000)
    allocation = picked(call, server)
    allocation.server_id = server.id
    return reply(shapes.allocation(call, allocation))


def picked(call: Call, server: Server) -> Allocation:
    """A free allocation of the server's address, or a new port in the configured range.

    Raises a 400 when the range is used up.
    """
    store, ports = call.panel.store, call.panel.settings.auto_allocation_ports
    ip = store.allocations.must(server.allocation_id).ip
    free = store.allocations.where(node_id=server.node_id, ip=ip, server_id=None)
    if free:
        return call.panel.rng.choice(free)
    used = {each.port for each in store.allocations.where(node_id=server.node_id, ip=ip)}
    unused = [port for port in range(ports[0], ports[1] + 1) if port not in used]
    if not unused:
        raise refusal(
            "NoAutoAllocationSpaceAvailableException", "No additional allocation space available on the node."
        )
    return store.allocations.add(Allocation(node_id=server.node_id, ip=ip, port=call.panel.rng.choice(unused)))


@routes.add("POST", "/servers/{server}/network/allocations/{allocation}")
async def note(call: Call) -> Response:
    """Write a note on an allocation."""
    allocation = named(call, access.server_for(call, "allocation.update"))
    validate(call.fields, {"notes": "present|nullable|string|max:256"})
    allocation.notes = call.fields["notes"]
    return reply(shapes.allocation(call, allocation))


@routes.add("POST", "/servers/{server}/network/allocations/{allocation}/primary")
async def make_primary(call: Call) -> Response:
    """Make an allocation the one players connect to."""
    server = access.server_for(call, "allocation.update")
    allocation = named(call, server)
    server.allocation_id = allocation.id
    return reply(shapes.allocation(call, allocation))


@routes.add("DELETE", "/servers/{server}/network/allocations/{allocation}")
async def remove(call: Call) -> Response:
    """Give an allocation back; the primary one stays."""
    server = access.server_for(call, "allocation.delete")
    allocation = named(call, server)
    if not server.allocation_limit:
        raise refusal("DisplayException", "You cannot delete allocations for this server: no limit is set.")
    if allocation.id == server.allocation_id:
        raise refusal("DisplayException", "You cannot delete the primary allocation for this server.")
    allocation.server_id, allocation.notes = None, None
    return no_content()
