"""The account, and servers as their users see them: resources, power, commands, console access."""

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import daemon, power, tokens
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.client import access, transformers
from sandbox.pterodactyl.errors import DaemonError, PanelError
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.transformers import item
from sandbox.pterodactyl.validation import validate

routes = Routes("client")


@routes.add("GET", "/account")
async def account(call: Call) -> Response:
    """The owner of the key."""
    return JSONResponse(transformers.account(call.user))


@routes.add("GET", "/servers/{server}")
async def show(call: Call) -> Response:
    """One server, in any state."""
    server = access.find_server(call)
    meta = {"is_server_owner": server.user_id == call.user.id, "user_permissions": access.permissions(call)}
    return JSONResponse({**transformers.server(call, server), "meta": meta})


@routes.add("GET", "/servers/{server}/resources")
async def resources(call: Call) -> Response:
    """The power state and the resources in use, as much as twenty seconds old."""
    server, panel = access.usable_server(call), call.panel
    runtime = server.runtime

    def measure() -> None:
        runtime.stats = {
            "current_state": runtime.state,
            "is_suspended": server.status == "suspended",
            "resources": power.usage(panel, server),
        }
        runtime.stats_until_at = panel.now() + panel.settings.stats_cache_seconds

    if runtime.stats is None or runtime.stats_until_at <= panel.now():
        await daemon.call_for(panel, server, measure)
    return JSONResponse(item("stats", runtime.stats or {}))


@routes.add("POST", "/servers/{server}/power")
async def send_signal(call: Call) -> Response:
    """Send a power signal; its outcome shows later."""
    server, panel = access.usable_server(call), call.panel
    validate(call.fields, {"signal": f"required|string|in:{','.join(power.SIGNALS)}"})
    await daemon.call_for(panel, server, lambda: power.send_signal(panel, server, call.fields["signal"]))
    return no_content()


@routes.add("POST", "/servers/{server}/command")
async def send_command(call: Call) -> Response:
    """Type a command on the console.

    Raises a 502 when the server is stopped.
    """
    server, panel = access.usable_server(call), call.panel
    validate(call.fields, {"command": "required|string|min:1"})

    def work() -> None:
        if server.runtime.state == "offline":
            raise DaemonError(502)
        power.run_command(panel, server, call.fields["command"])

    try:
        await daemon.call_for(panel, server, work)
    except DaemonError as error:
        if error.status != 502:
            raise
        raise PanelError(502, "HttpException", "Server must be online in order to send commands.") from error
    return no_content()


@routes.add("GET", "/servers/{server}/websocket")
async def websocket(call: Call) -> Response:
    """A short-lived token for the console, made without a call to the node."""
    server, panel = access.usable_server(call, is_console=True), call.panel
    node_url, token = tokens.issue(
        panel,
        server,
        seconds=panel.settings.token_seconds,
        permissions=access.permissions(call),
        user_id=call.user.id,
        user_uuid=call.user.uuid,
    )
    socket = f"{node_url.replace('http', 'ws', 1)}/api/servers/{server.uuid}/ws"
    return JSONResponse({"data": {"token": token, "socket": socket}})
