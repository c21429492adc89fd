"""The database backend named in settings: Django's own, except for indexes of text and how a connection gets its role.

Django builds the `SET ROLE` statement through its own connection. In the pool's thread that connection is still waiting
for the pool, so both wait forever (seen with Django 6.1.3).
"""

from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base
from psycopg import sql

from core import embedded
from core.postgresql.schema import DatabaseSchemaEditor


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL; every connection starts as the role OPTIONS["assume_role"]."""

    SchemaEditorClass = DatabaseSchemaEditor

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect. Raises `embedded.NotRunning` at once, where the pool would try for seconds."""
        if settings.HAS_EMBEDDED_DATABASE and not embedded.is_running(settings.VAR):
            raise embedded.NotRunning
        return super().get_new_connection(conn_params)

    def _configure_role(self, connection: Any) -> bool:
        role = self.settings_dict["OPTIONS"].get("assume_role")
        if role:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        return bool(role)
