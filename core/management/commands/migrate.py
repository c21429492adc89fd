"""`migrate` as the login role: it owns the tables, while everything else works as nodebyte_worker."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections


class Command(migrate.Command):
    """Django's migrate, with the connection's role given up first."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Reconnect as the login role, migrate, and put the runtime role back."""
        connection = connections[options["database"]]
        role = connection.settings_dict["OPTIONS"].pop("assume_role", None)
        pool = connection.settings_dict["OPTIONS"].pop("pool", None)
        connection.close()
        try:
            return super().handle(*args, **options)
        finally:
            connection.close()
            kept = {"assume_role": role, "pool": pool}
            connection.settings_dict["OPTIONS"].update({name: value for name, value in kept.items() if value})
