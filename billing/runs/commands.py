"""What the commands of the runs share: when, a progress bar on a terminal, and one line of JSON for logs."""

import json
import time
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_date, parse_datetime

from billing.models import RunKind, RunState
from billing.runs import runner
from core import clock

WIDTH = 40


class RunCommand(BaseCommand):
    """A command that does one kind of run. It exits 1 where some were skipped or the run failed."""

    kind: RunKind

    def add_arguments(self, parser: CommandParser) -> None:
        """--at is a day or an instant in UTC; without it, now."""
        parser.add_argument("--at", help="a date or an instant, such as 2026-12-01 or 2026-12-01T08:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run and print the summary."""
        at = instant(options["at"]) if options["at"] else clock.now()
        begin = time.monotonic()
        run = runner.execute(self.kind, at=at, progress=self.show_progress)
        if self.stderr.isatty():
            self.stderr.write("")
        summary = {
            "run": str(run.pk),
            "kind": run.kind,
            "at": at.isoformat(),
            "state": run.state,
            "counts": run.counts,
            "skipped": run.skipped,
            "seconds": round(time.monotonic() - begin, 3),
        }
        self.stdout.write(json.dumps(summary))
        if run.state == RunState.INCOMPLETE:
            raise CommandError(f"{len(run.skipped)} organizations were skipped; the run's page in the admin says why")

    def show_progress(self, done: int, rows: int) -> None:
        """A bar, on a terminal only."""
        if self.stderr.isatty():
            filled = WIDTH * done // rows if rows else WIDTH
            self.stderr.write(f"\r[{'#' * filled:<{WIDTH}}] {done:,}/{rows:,}", ending="")


def instant(text: str) -> datetime:
    """The instant that the text names; a day begins at midnight UTC. Raises CommandError."""
    try:
        found = parse_datetime(text)
        day = parse_date(text) if found is None else None
    except ValueError as error:
        raise CommandError(f"--at: {error}") from None
    if day is not None:
        found = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if found is None:
        raise CommandError("--at is a date or an instant, such as 2026-12-01 or 2026-12-01T08:00Z")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
