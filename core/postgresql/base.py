"""The database backend named in settings: Django's own, except for indexes of text and what a connection may do.

Django builds the `SET ROLE` statement through its own connection. In the pool's thread that connection is still waiting
for the pool, so both wait forever (seen with Django 6.1.3).
"""

import re
import select
from typing import Any

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, ProgrammingError
from django.db.backends.postgresql import base
from psycopg import sql
from psycopg_pool import ConnectionPool

from core import embedded
from core.cache import ALIAS as CACHE_ALIAS
from core.postgresql.operations import DatabaseOperations
from core.postgresql.schema import DatabaseSchemaEditor
from core.tenancy.context import current, database_of

# What a session could leave to the next one. `RESET ALL` goes back to what the connection was opened with.
RESET = (
    "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DEALLOCATE ALL; UNLISTEN *;"
    " DISCARD SEQUENCES; DISCARD TEMP"
)
READS = re.compile(rb"[\s(]*(select|with|savepoint|release savepoint|rollback to savepoint)\b|\s*$", re.IGNORECASE)


class WrongDatabase(ProgrammingError):
    """A query that does not use the login of the context in force."""


class ReadingCursor(base.Cursor):
    """The cursor of a customer's connection: one statement at a time, and only one that reads.

    PostgreSQL has rights for tables and functions, but none for `ALTER ROLE CURRENT_USER`, NOTIFY, PREPARE or SET.
    Those are refused here. The extended protocol takes one statement, so that none can be hidden behind another.
    """

    def _execute_send(self, query: Any, *, force_extended: bool = False, binary: bool | None = None) -> None:
        if not READS.match(query.query):
            raise psycopg.ProgrammingError("a customer's connection only reads")
        super()._execute_send(query, force_extended=True, binary=binary)  # type: ignore[misc]


def check_connection(connection: "psycopg.Connection[Any]") -> None:
    """Raise if PostgreSQL has closed the connection while it was in the pool.

    A server that ends says so on the connection, so one on which nothing has come is open: a round trip less for each
    login of each request.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(connection)


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL. OPTIONS["is_reading"] makes the connection a customer's."""

    SchemaEditorClass = DatabaseSchemaEditor
    ops_class = DatabaseOperations

    def __init__(self, settings_dict: dict[str, Any], alias: str = DEFAULT_DB_ALIAS) -> None:
        super().__init__(settings_dict, alias)
        if pool := settings_dict.get("OPTIONS", {}).get("pool"):
            pool.setdefault("reset", self._reset)
            pool.setdefault("check", check_connection)

    def get_connection_params(self) -> dict[str, Any]:
        """Django's own, with the cursor of a customer's connection."""
        params: dict[str, Any] = super().get_connection_params()
        if params.pop("is_reading", False):
            params["cursor_factory"] = ReadingCursor
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect. Raises `embedded.NotRunning` at once, where the pool would try for seconds."""
        if settings.HAS_EMBEDDED_DATABASE and not embedded.is_running(settings.VAR):
            raise embedded.NotRunning
        return super().get_new_connection(conn_params)

    def _cursor(self, name: str | None = None) -> Any:
        """Refuse the workers' login to a customer's page that forgot `as_worker`, and any other mistaken login."""
        context = current()
        if context is not None and self.alias not in {database_of(context), CACHE_ALIAS}:
            raise WrongDatabase(f"as {context.role} nothing uses the database login {self.alias!r}")
        return super()._cursor(name)  # type: ignore[misc]

    def _configure_role(self, connection: Any) -> bool:
        role = self.settings_dict["OPTIONS"].get("assume_role")
        if role:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        return bool(role)

    def _reset(self, connection: "psycopg.Connection[Any]") -> None:
        """Before a connection goes back to the pool: no role, setting, cursor or statement outlives its use."""
        connection.autocommit = True
        with psycopg.Cursor(connection) as cursor:
            cursor.execute(RESET)
        self._configure_role(connection)
