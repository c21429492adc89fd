"""`runserver` that looks for the database first, since its own thread would answer with a traceback."""

from typing import Any

from django.contrib.staticfiles.management.commands import runserver
from django.db import connection


class Command(runserver.Command):
    """Django's runserver."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Connect once, so that a database that is not running is named in one line."""
        connection.ensure_connection()
        connection.close()
        return super().handle(*args, **options)
