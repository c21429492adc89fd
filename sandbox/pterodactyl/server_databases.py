"""Databases of servers, as both APIs make them."""

from sandbox.pterodactyl.errors import refusal
from sandbox.pterodactyl.keys import random_text
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import Database, DatabaseHost, Server


def check_limit(panel: Panel, server: Server) -> None:
    """Raise a 400 when the server has as many databases as its limit allows."""
    if server.database_limit is not None and len(panel.store.databases.where(server_id=server.id)) >= (
        server.database_limit
    ):
        raise refusal("TooManyDatabasesException", "The server has reached its database limit.")


def create_database(panel: Panel, server: Server, host: DatabaseHost, *, name: str, remote: str) -> Database:
    """Make a database whose stored name carries the server's id.

    Raises a 400 for a name that the server has already.
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
