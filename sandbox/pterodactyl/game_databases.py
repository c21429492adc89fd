"""Making databases for game servers, as both APIs do."""

from typing import TYPE_CHECKING

from sandbox.pterodactyl.errors import refusal
from sandbox.pterodactyl.keys import random_text
from sandbox.pterodactyl.rows import Database, DatabaseHost, Server

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel


def refuse_over_limit(panel: "Panel", server: Server) -> None:
    """Raise a 400 when the server has as many databases as it may."""
    if server.database_limit is not None and panel.store.database_count(server) >= server.database_limit:
        raise refusal("TooManyDatabasesException", "The server has reached its database limit.")


def create(panel: "Panel", server: Server, host: DatabaseHost, *, name: str, remote: str) -> Database:
    """Make a database with a stored name that carries the server's id.

    Raises a 400 over the limit and for a name the server has already.
    """
    refuse_over_limit(panel, server)
    return add(panel, server, host, name=name, remote=remote)


def add(panel: "Panel", server: Server, host: DatabaseHost, *, name: str, remote: str) -> Database:
    """Make a database after the limit was looked at, without looking again.

    Raises a 400 for a name the server has already.
    """
    stored = f"s{server.id}_{name}"
    if panel.store.databases.where(server_id=server.id, database=stored):
        raise refusal("DuplicateDatabaseNameException", "A database with that name already exists for this server.")
    return panel.store.databases.add(
        Database(
            server_id=server.id,
            host_id=host.id,
            database=stored,
            username=f"u{server.id}_{random_text(10)}",
            remote=remote,
            password=random_text(24),
        )
    )
