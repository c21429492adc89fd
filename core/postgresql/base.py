"""The database backend named in settings: Django's own, except for how a connection gets its role.

Django builds the `SET ROLE` statement through its own connection. In the pool's thread that connection is still waiting
for the pool, so both wait forever (seen with Django 6.1.3).
"""

from typing import Any

from django.db.backends.postgresql import base
from psycopg import sql


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL; every connection starts as the role OPTIONS["assume_role"]."""

    def _configure_role(self, connection: Any) -> bool:
        role = self.settings_dict["OPTIONS"].get("assume_role")
        if role:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        return bool(role)
