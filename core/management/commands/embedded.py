"""Start or stop the embedded PostgreSQL."""

import subprocess
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import embedded
from core.postgresql import logins


class Command(BaseCommand):
    """Both may be repeated."""

    help = "Start or stop the embedded PostgreSQL, which is used when DATABASE_URL is unset."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """What to do with the server of NODEBYTE_VAR."""
        parser.add_argument("action", choices=["start", "stop"])

    def handle(self, *args: Any, **options: Any) -> None:
        """Start prints the address that processes use."""
        if options["action"] == "stop":
            embedded.stop(settings.VAR)
            return
        try:
            embedded.start(settings.VAR)
        except subprocess.CalledProcessError as error:
            raise CommandError(f"PostgreSQL does not start; see {settings.VAR / 'postgres' / 'log'}") from error
        self.stdout.write(embedded.url(settings.VAR, logins.WORKER_LOGIN))
