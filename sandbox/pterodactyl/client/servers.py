"""Servers as their users see them: listing, figures, power, commands, console access."""

from starlette.responses import Response

from sandbox.pterodactyl import daemon, power, tokens
from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.client import access, shapes
from sandbox.pterodactyl.errors import DaemonFailure, PanelError
from sandbox.pterodactyl.listing import Filters, contains, narrowed, page_of, per_page
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Server
from sandbox.pterodactyl.validation import validate

routes = Routes("client")
MOST_PER_PAGE = 100
FILTERS: Filters[Server] = Filters(
    partial={
        "uuid": lambda server: server.uuid,
        "name": lambda server: server.name,
        "description": lambda server: server.description,
        "external_id": lambda server: server.external_id,
    },
    exact={
        "*": lambda server, wanted: any(
            contains(each, wanted) for each in (server.uuid, server.name, server.description, server.external_id)
        )
    },
)


@routes.add("GET", "")
async def index(call: Call) -> Response:
    """The servers a user has, or for root admins also those they do not."""
    found = narrowed(call, [each for each in call.panel.store.servers if is_listed(call, each)], FILTERS)
    size = per_page(call, most=MOST_PER_PAGE)
    return reply(page_of(call, found, lambda server: shapes.server(call, server), size=size))


def is_listed(call: Call, server: Server) -> bool:
    """Whether a server belongs on the kind of list asked for."""
    is_own = server.user_id == call.user.id
    kind = call.query.get("type")
    if kind == "owner":
        return is_own
    is_shared = access.part_of(call, server) is not None
    if kind in {"admin", "admin-all"}:
        return call.user.is_root_admin and (kind == "admin-all" or not (is_own or is_shared))
    return is_own or is_shared


@routes.add("GET", "/servers/{server}")
async def show(call: Call) -> Response:
    """One server, in any state."""
    server = access.find(call)
    meta = {
        "is_server_owner": server.user_id == call.user.id,
        "user_permissions": access.permissions(call, server),
    }
    return reply({**shapes.server(call, server), "meta": meta})


@routes.add("GET", "/servers/{server}/resources")
async def resources(call: Call) -> Response:
    """The figures, as much as twenty seconds old."""
    server, panel = access.server_for(call, "websocket.connect"), call.panel
    runtime = server.runtime
    if runtime.stats is None or runtime.stats_until_at <= panel.now():
        await daemon.ask_about(panel, server, lambda: measure(call, server))
    return reply(shapes.shown("stats", runtime.stats or {}))


def measure(call: Call, server: Server) -> None:
    """Ask the node for fresh figures and keep them a while."""
    runtime, panel = server.runtime, call.panel
    runtime.stats = {
        "current_state": runtime.state,
        "is_suspended": server.status == "suspended",
        "resources": power.usage(panel, server),
    }
    runtime.stats_until_at = panel.now() + panel.settings.stats_cache_seconds


@routes.add("POST", "/servers/{server}/power")
async def send_signal(call: Call) -> Response:
    """Pass a power signal on; what comes of it shows later."""
    signal = call.fields.get("signal")
    permission = {"stop": "control.stop", "kill": "control.stop", "restart": "control.restart"}.get(
        str(signal), "control.start"
    )
    server = access.server_for(call, permission)
    validate(call.fields, {"signal": f"required|string|in:{','.join(power.SIGNALS)}"})
    await daemon.ask_about(call.panel, server, lambda: power.send_signal(call.panel, server, str(signal)))
    access.log(call, server, f"server:power.{signal}")
    return no_content()


@routes.add("POST", "/servers/{server}/command")
async def send_command(call: Call) -> Response:
    """Type a command; a stopped server cannot take one."""
    server = access.server_for(call, "control.console")
    validate(call.fields, {"command": "required|string|min:1"})

    def work() -> None:
        if server.runtime.state == "offline":
            raise DaemonFailure(502)
        power.run_command(call.panel, server, call.fields["command"])

    try:
        await daemon.ask_about(call.panel, server, work)
    except DaemonFailure as failure:
        if failure.status != 502:
            raise
        raise PanelError(502, "HttpException", "Server must be online in order to send commands.") from failure
    access.log(call, server, "server:console.command")
    return no_content()


@routes.add("GET", "/servers/{server}/websocket")
async def websocket(call: Call) -> Response:
    """A short-lived token for the console, made without asking the node."""
    server, panel = access.server_for(call, "websocket.connect", is_console=True), call.panel
    node = panel.store.nodes.must(server.node_id)
    base = f"{panel.url}/node/{node.id}"
    token = tokens.issue(
        node.token,
        issuer=panel.url,
        audience=base,
        now=panel.now(),
        seconds=panel.settings.token_seconds,
        server_uuid=server.uuid,
        permissions=access.permissions(call, server),
        user_id=call.user.id,
        user_uuid=call.user.uuid,
    )
    socket = f"{base.replace('http', 'ws', 1)}/api/servers/{server.uuid}/ws"
    return reply({"data": {"token": token, "socket": socket}})


@routes.add("GET", "/servers/{server}/activity")
async def activity(call: Call) -> Response:
    """What was done to a server, latest first."""
    server = access.server_for(call, "activity.read")
    entries = call.panel.store.activity.where(server_id=server.id)[::-1]
    return reply(page_of(call, entries, shapes.activity, size=per_page(call, most=MOST_PER_PAGE)))
