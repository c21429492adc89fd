"""`migrate` as the owner of the tables: every other process uses logins that own nothing."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import connections

REPLACED = ("NAME", "USER", "PASSWORD", "HOST", "PORT", "OPTIONS")


class Command(migrate.Command):
    """Django's migrate, with the owner's login."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Connect as the owner, migrate, and put the login of processes back."""
        if settings.IS_TESTING:  # the suite connects as the owner itself
            return super().handle(*args, **options)
        if not settings.DATABASE_OWNER:
            raise CommandError("DATABASE_OWNER_URL is missing: it names the login that owns the tables.")
        connection = connections[options["database"]]
        before = {name: connection.settings_dict[name] for name in REPLACED}
        connection.close()
        connection.settings_dict.update({name: settings.DATABASE_OWNER.get(name, "") for name in REPLACED})
        connection.settings_dict["OPTIONS"] = dict(settings.DATABASE_OWNER.get("OPTIONS", {}))
        try:
            return super().handle(*args, **options)
        finally:
            connection.close()
            connection.settings_dict.update(before)
