"""A server's databases as its users manage them."""

import asyncio

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import server_databases
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.client import access, transformers
from sandbox.pterodactyl.errors import not_found, refusal
from sandbox.pterodactyl.keys import random_text
from sandbox.pterodactyl.listing import included
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Database, Server
from sandbox.pterodactyl.transformers import plain_list
from sandbox.pterodactyl.validation import validate

routes = Routes("client")


def find_database(call: Call, server: Server) -> Database:
    """The database of the path, by hashid or number, if it is the server's. Raises a 404."""
    for database in call.panel.store.databases.where(server_id=server.id):
        if call.params["database"] in (transformers.hashid(database.id), str(database.id)):
            return database
    raise not_found()


@routes.add("GET", "/servers/{server}/databases")
async def index(call: Call) -> Response:
    """A server's databases, without pages."""
    server = access.usable_server(call)
    has_password = "password" in included(call)
    found = call.panel.store.databases.where(server_id=server.id)
    return JSONResponse(plain_list(transformers.database(call, each, has_password=has_password) for each in found))


@routes.add("POST", "/servers/{server}/databases")
async def create(call: Call) -> Response:
    """Make a database on a host of the server's node, else on any."""
    server, panel = access.usable_server(call), call.panel
    validate(
        call.fields,
        {
            "database": "required|alpha_dash|min:3|max:48",
            "remote": "required|string|regex:/^[0-9%.]{1,15}$/",
        },
    )
    hosts = list(panel.store.database_hosts)
    if not hosts:
        raise refusal("NoSuitableDatabaseHostException", "No database host was found for this server.")
    host = next((host for host in hosts if host.node_id == server.node_id), hosts[0])
    server_databases.check_limit(panel, server)
    await asyncio.sleep(panel.settings.race_delay_ms / 1000)
    database = server_databases.create_database(
        panel, server, host, name=call.fields["database"], remote=call.fields["remote"]
    )
    return JSONResponse(transformers.database(call, database, has_password=True))


@routes.add("POST", "/servers/{server}/databases/{database}/rotate-password")
async def rotate_password(call: Call) -> Response:
    """Give a database a new password and show it."""
    database = find_database(call, access.usable_server(call))
    database.password = random_text(24)
    call.panel.store.databases.touch(database)
    return JSONResponse(transformers.database(call, database, has_password=True))


@routes.add("DELETE", "/servers/{server}/databases/{database}")
async def remove(call: Call) -> Response:
    """Delete a database."""
    call.panel.store.databases.remove(find_database(call, access.usable_server(call)))
    return no_content()
