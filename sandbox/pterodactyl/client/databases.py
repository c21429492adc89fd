"""A server's databases as its users manage them."""

import asyncio

from starlette.responses import Response

from sandbox.pterodactyl import game_databases
from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.client import access, shapes
from sandbox.pterodactyl.errors import missing, refusal
from sandbox.pterodactyl.keys import random_text
from sandbox.pterodactyl.listing import includes
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Database, DatabaseHost, Server
from sandbox.pterodactyl.validation import validate

routes = Routes("client")


def named(call: Call, server: Server) -> Database:
    """The database of the path, by word or number, if it is the server's. Raises a 404."""
    for row in call.panel.store.databases.where(server_id=server.id):
        if call.params["database"] in (shapes.hash_id(row.id), str(row.id)):
            return row
    raise missing()


@routes.add("GET", "/servers/{server}/databases")
async def index(call: Call) -> Response:
    """A server's databases, all at once."""
    server = access.server_for(call, "database.read")
    has_password = "password" in includes(call)
    found = call.panel.store.databases.where(server_id=server.id)
    return reply(shapes.listed([shapes.database(call, row, has_password=has_password) for row in found]))


@routes.add("POST", "/servers/{server}/databases")
async def create(call: Call) -> Response:
    """Make a database on a host the panel picks."""
    server, panel = access.server_for(call, "database.create"), call.panel
    validate(
        call.fields,
        {
            "database": "required|alpha_dash|min:3|max:48",
            "remote": "required|string|regex:/^[0-9%.]{1,15}$/",
        },
    )
    host = picked_host(call, server)
    game_databases.refuse_over_limit(panel, server)
    await asyncio.sleep(panel.settings.race_delay_ms / 1000)
    row = game_databases.add(panel, server, host, name=call.fields["database"], remote=call.fields["remote"])
    access.log(call, server, "server:database.create")
    return reply(shapes.database(call, row, has_password=True))


def picked_host(call: Call, server: Server) -> DatabaseHost:
    """A host on the server's node, else any. Raises a 400 when there is none."""
    hosts = list(call.panel.store.database_hosts)
    if not hosts:
        raise refusal("NoSuitableDatabaseHostException", "No database host was found for this server.")
    return next((host for host in hosts if host.node_id == server.node_id), hosts[0])


@routes.add("POST", "/servers/{server}/databases/{database}/rotate-password")
async def rotate_password(call: Call) -> Response:
    """Give a database a new password and show it."""
    row = named(call, access.server_for(call, "database.update"))
    row.password = random_text(24)
    call.panel.store.databases.touch(row)
    return reply(shapes.database(call, row, has_password=True))


@routes.add("DELETE", "/servers/{server}/databases/{database}")
async def remove(call: Call) -> Response:
    """Drop a database."""
    server = access.server_for(call, "database.delete")
    call.panel.store.databases.remove(named(call, server))
    return no_content()
