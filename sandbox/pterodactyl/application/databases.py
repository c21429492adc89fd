"""Databases of servers; calls on one database do not check the server in the path."""

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import server_databases
from sandbox.pterodactyl.application.transformers import created, item
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.checks import as_text
from sandbox.pterodactyl.collation import exists
from sandbox.pterodactyl.keys import random_text
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Database
from sandbox.pterodactyl.transformers import plain_list
from sandbox.pterodactyl.validation import validate

routes = Routes("application", "server_databases")


def find_database(call: Call) -> Database:
    """The database of the path; the server must exist, and the database need not be its own. Raises a 404."""
    call.panel.store.servers.get_or_404(call.row_id())
    return call.panel.store.databases.get_or_404(call.row_id("database"))


@routes.add("GET", "/servers/{id}/databases")
async def index(call: Call) -> Response:
    """A server's databases, without pages."""
    server = call.panel.store.servers.get_or_404(call.row_id())
    found = call.panel.store.databases.where(server_id=server.id)
    return JSONResponse(plain_list(item(call, each) for each in found))


@routes.add("GET", "/servers/{id}/databases/{database}")
async def show(call: Call) -> Response:
    """One database, of any server."""
    return JSONResponse(item(call, find_database(call)))


@routes.add("POST", "/servers/{id}/databases")
async def create(call: Call) -> Response:
    """Make a database on the host that is named."""
    panel, fields = call.panel, call.fields
    server = panel.store.servers.get_or_404(call.row_id())
    validate(
        fields,
        {
            "database": "required|alpha_dash|min:1|max:48",
            "remote": "required|string|regex:/^[0-9%.]{1,15}$/",
            "host": ["required", "integer", exists(panel.store.database_hosts)],
        },
    )
    host = panel.store.database_hosts.get_or_404(as_text(fields["host"]))
    server_databases.check_limit(panel, server)
    database = server_databases.create_database(panel, server, host, name=fields["database"], remote=fields["remote"])
    return JSONResponse(created(call, database, f"servers/{server.id}/databases"), 201)


@routes.add("POST", "/servers/{id}/databases/{database}/reset-password")
async def reset_password(call: Call) -> Response:
    """Give a database, of any server, a new password."""
    database = find_database(call)
    database.password = random_text(24)
    call.panel.store.databases.touch(database)
    return no_content()


@routes.add("DELETE", "/servers/{id}/databases/{database}")
async def remove(call: Call) -> Response:
    """Delete a database, of any server."""
    call.panel.store.databases.remove(find_database(call))
    return no_content()
