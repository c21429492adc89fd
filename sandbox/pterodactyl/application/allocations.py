"""The allocations of a node."""

import re

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl.application.transformers import page
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.errors import not_found, refusal
from sandbox.pterodactyl.listing import Filters, filtered, substring
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Allocation
from sandbox.pterodactyl.validation import validate

routes = Routes("application", "allocations")
MAX_RANGE = 1000
FREE = {"0", "false"}
FILTERS: Filters[Allocation] = {
    "ip": lambda allocation, wanted: allocation.ip == wanted,
    "port": lambda allocation, wanted: str(allocation.port) == wanted,
    "ip_alias": substring("ip_alias"),
    "server_id": lambda allocation, wanted: (
        allocation.server_id is None if wanted in FREE else str(allocation.server_id) == wanted
    ),
}


@routes.add("GET", "/nodes/{id}/allocations")
async def index(call: Call) -> Response:
    """A node's allocations, page by page."""
    node = call.panel.store.nodes.get_or_404(call.row_id())
    return JSONResponse(page(call, filtered(call, call.panel.store.allocations.where(node_id=node.id), FILTERS)))


@routes.add("POST", "/nodes/{id}/allocations")
async def create(call: Call) -> Response:
    """Add ports of an address; those that exist are skipped."""
    fields, allocations = call.fields, call.panel.store.allocations
    node = call.panel.store.nodes.get_or_404(call.row_id())
    validate(
        fields,
        {
            "ip": "required|string",
            "alias": "sometimes|nullable|string|max:191",
            "ports": "required|array",
            "ports.*": "string",
        },
    )
    for port in [port for text in fields["ports"] for port in parse_ports(text)]:
        if not allocations.where(node_id=node.id, ip=fields["ip"], port=port):
            allocations.add(Allocation(node_id=node.id, ip=fields["ip"], port=port, ip_alias=fields.get("alias")))
    return no_content()


@routes.add("DELETE", "/nodes/{id}/allocations/{allocation}")
async def remove(call: Call) -> Response:
    """Delete a free allocation."""
    allocation = call.panel.store.allocations.get_or_404(call.row_id("allocation"))
    if allocation.node_id != call.row_id():
        raise not_found()
    if allocation.server_id is not None:
        raise refusal("ServerUsingAllocationException", "A server is currently assigned to this allocation.")
    call.panel.store.allocations.remove(allocation)
    return no_content()


def parse_ports(text: str) -> range:
    """The ports of "25565" or "25565-25600", backwards ranges too.

    Raises a 400 for anything else.
    """
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    if match is None:
        raise refusal("InvalidPortMappingException", f"The mapping provided for {text} was invalid.")
    low, high = sorted((int(match[1]), int(match[2] or match[1])))
    if high - low + 1 > MAX_RANGE:
        raise refusal("TooManyPortsInRangeException", "Adding more than 1000 ports in a single range is not supported.")
    if low <= 1024 or high > 65535:
        raise refusal("PortOutOfRangeException", "Ports in an allocation must be greater than 1024 and at most 65535.")
    return range(low, high + 1)
