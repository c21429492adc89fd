"""The allocations of a node."""

import ipaddress
import re
import socket

from starlette.responses import Response

from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.errors import missing, refusal
from sandbox.pterodactyl.listing import Filters, includes, narrowed, page_of
from sandbox.pterodactyl.objects import item
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Allocation
from sandbox.pterodactyl.validation import validate

routes = Routes("application", "allocations")
PORT_RANGE_LIMIT = 1000
LOWEST_PORT, HIGHEST_PORT = 1024, 65535
WIDEST_MASK = 27


def is_held_by(allocation: Allocation, wanted: object) -> bool:
    """Whether a server holds the allocation; "0" and "false" ask for free ones."""
    if wanted in ("0", "false"):
        return allocation.server_id is None
    return str(allocation.server_id) == wanted


FILTERS: Filters[Allocation] = Filters(
    partial={"ip_alias": lambda allocation: allocation.ip_alias},
    exact={
        "ip": lambda allocation, wanted: allocation.ip == wanted,
        "port": lambda allocation, wanted: str(allocation.port) == wanted,
        "server_id": is_held_by,
    },
)


@routes.add("GET", "/nodes/{id}/allocations")
async def index(call: Call) -> Response:
    """A node's allocations, page by page."""
    node = call.panel.store.nodes.must(call.row_id())
    found = narrowed(call, call.panel.store.allocations.where(node_id=node.id), FILTERS)
    tree = includes(call)
    return reply(page_of(call, found, lambda allocation: item(call, allocation, tree)))


@routes.add("POST", "/nodes/{id}/allocations")
async def create(call: Call) -> Response:
    """Add addresses and ports; pairs that exist are passed over."""
    store = call.panel.store
    node = store.nodes.must(call.row_id())
    validate(
        call.fields,
        {
            "ip": "required|string",
            "alias": "sometimes|nullable|string|max:191",
            "ports": "required|array",
            "ports.*": "string",
        },
    )
    ports = [port for text in call.fields["ports"] for port in parsed_ports(text)]
    known = {(each.ip, each.port) for each in store.allocations.where(node_id=node.id)}
    for ip in addresses(call.fields["ip"]):
        for port in ports:
            if (ip, port) not in known:
                known.add((ip, port))
                store.allocations.add(Allocation(node_id=node.id, ip=ip, port=port, ip_alias=call.fields.get("alias")))
    return no_content()


@routes.add("DELETE", "/nodes/{id}/allocations/{allocation}")
async def remove(call: Call) -> Response:
    """Delete a free allocation."""
    node = call.panel.store.nodes.must(call.row_id())
    allocation = call.panel.store.allocations.must(call.row_id("allocation"))
    if allocation.node_id != node.id:
        raise missing()
    if allocation.server_id is not None:
        raise refusal("ServerUsingAllocationException", "A server is currently assigned to this allocation.")
    call.panel.store.allocations.remove(allocation)
    return no_content()


def addresses(text: str) -> list[str]:
    """The addresses meant by an address, a small network or a host name.

    Raises a 400 for networks that are too wide and names that do not resolve.
    """
    host, slash, mask = text.partition("/")
    if slash:
        if not mask.isdecimal() or not WIDEST_MASK <= int(mask) <= 32:
            raise refusal("CidrOutOfRangeException", "CIDR notation only allows masks between /27 and /32.")
        return [str(ip) for ip in ipaddress.ip_network(text, strict=False)]
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        return [resolved(host)]


def resolved(host: str) -> str:
    """The IPv4 address of a host name. Raises a 400 when it has none."""
    try:
        return socket.gethostbyname(host)
    except OSError as error:
        raise refusal("DisplayException", "The host name could not be resolved to an address.") from error


def parsed_ports(text: str) -> list[int]:
    """The ports meant by "25565" or "25565-25600", backwards ranges too.

    Raises a 400 for anything else.
    """
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    if match is None:
        raise refusal("InvalidPortMappingException", f"The mapping provided for {text} was invalid.")
    low, high = sorted((int(match[1]), int(match[2] or match[1])))
    if high - low + 1 > PORT_RANGE_LIMIT:
        raise refusal("TooManyPortsInRangeException", "Adding more than 1000 ports in a single range is not supported.")
    if low <= LOWEST_PORT or high > HIGHEST_PORT:
        raise refusal("PortOutOfRangeException", "Ports in an allocation must be greater than 1024 and at most 65535.")
    return list(range(low, high + 1))
