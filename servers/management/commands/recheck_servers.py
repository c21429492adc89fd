"""Look at servers again, as cron does where no beat runs."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from servers import work


class Command(BaseCommand):
    """A panel can lose a suspension or a whole server without telling: only looking shows it."""

    help = "Ask for convergence of every server that nobody looked at for some minutes."

    def add_arguments(self, parser: CommandParser) -> None:
        """--minutes is how long ago the last look may be; 0 asks for all."""
        parser.add_argument("--minutes", type=int, default=int(work.RECHECK_AFTER.total_seconds()) // 60)

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, and say for how many."""
        since = timedelta(minutes=options["minutes"])
        self.stdout.write(f"{work.request_recheck(at=timezone.now(), not_seen_for=since)} servers will be looked at")
