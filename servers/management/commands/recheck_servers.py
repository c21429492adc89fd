"""Converge servers again, from cron where no Celery beat runs."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core import clock
from servers import convergence
from servers.convergence.scheduling import RECHECK_AFTER


class Command(BaseCommand):
    """A panel can lose a suspension or a whole server without reporting it."""

    help = "Request convergence of every server that was not observed for some minutes."

    def add_arguments(self, parser: CommandParser) -> None:
        """--minutes is how long ago the last observation may be; 0 selects all."""
        parser.add_argument("--minutes", type=int, default=int(RECHECK_AFTER.total_seconds()) // 60)

    def handle(self, *args: Any, **options: Any) -> None:
        """Request it, and say for how many."""
        since = timedelta(minutes=options["minutes"])
        count = convergence.request_recheck(at=clock.now(), not_observed_for=since)
        self.stdout.write(f"{count} servers will be checked")
