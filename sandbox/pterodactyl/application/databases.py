"""Databases of servers; calls on one database do not look at the server in the path."""

from starlette.responses import Response

from sandbox.pterodactyl import game_databases
from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.checks import as_text
from sandbox.pterodactyl.collation import exists
from sandbox.pterodactyl.keys import random_text
from sandbox.pterodactyl.listing import includes, plain_list
from sandbox.pterodactyl.objects import item
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import Database
from sandbox.pterodactyl.validation import validate

routes = Routes("application", "server_databases")


def named(call: Call) -> Database:
    """The database of the path; the server must exist but need not be its own. Raises a 404."""
    call.panel.store.servers.must(call.row_id())
    return call.panel.store.databases.must(call.row_id("database"))


@routes.add("GET", "/servers/{id}/databases")
async def index(call: Call) -> Response:
    """A server's databases, all at once."""
    server = call.panel.store.servers.must(call.row_id())
    tree = includes(call)
    return reply(plain_list(call.panel.store.databases.where(server_id=server.id), lambda each: item(call, each, tree)))


@routes.add("GET", "/servers/{id}/databases/{database}")
async def show(call: Call) -> Response:
    """One database, of whatever server."""
    return reply(item(call, named(call), includes(call)))


@routes.add("POST", "/servers/{id}/databases")
async def create(call: Call) -> Response:
    """Make a database on a host that is named."""
    panel, fields = call.panel, call.fields
    server = panel.store.servers.must(call.row_id())
    hosts = panel.store.database_hosts
    validate(
        fields,
        {
            "database": "required|alpha_dash|min:1|max:48",
            "remote": "required|string|regex:/^[0-9%.]{1,15}$/",
            "host": ["required", "integer", exists(lambda value: hosts.get(value) is not None)],
        },
    )
    host = hosts.must(as_text(fields["host"]))
    row = game_databases.create(panel, server, host, name=fields["database"], remote=fields["remote"])
    answer = item(call, row, includes(call))
    answer["meta"] = {"resource": f"{panel.url}/api/application/servers/{server.id}/databases/{row.id}"}
    return reply(answer, 201)


@routes.add("POST", "/servers/{id}/databases/{database}/reset-password")
async def reset_password(call: Call) -> Response:
    """Give a database, of whatever server, a new password."""
    row = named(call)
    row.password = random_text(24)
    call.panel.store.databases.touch(row)
    return no_content()


@routes.add("DELETE", "/servers/{id}/databases/{database}")
async def remove(call: Call) -> Response:
    """Drop a database, of whatever server."""
    call.panel.store.databases.remove(named(call))
    return no_content()
