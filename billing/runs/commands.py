"""What the commands of the runs share: when, a progress bar on a terminal, and one line of JSON for logs."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_date, parse_datetime

from billing.models import RunKind, RunState
from billing.runs import calendar, runner
from core import clock
from core.csv_files import csv_lines

WIDTH = 40


class RunCommand(BaseCommand):
    """A command that does runs of these kinds. It exits 1 where some were skipped or a run failed."""

    kinds: Sequence[RunKind]

    def add_arguments(self, parser: CommandParser) -> None:
        """--at is a day or an instant in UTC; without it, now."""
        parser.add_argument("--at", help="a date or an instant, such as 2026-12-01 or 2026-12-01T08:00Z")
        parser.add_argument("--dry-run", action="store_true", help="list what would be done, and do nothing")
        parser.add_argument("--csv", action="store_true", help="list it as CSV")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run and print a summary of each, or list what would be done."""
        at = instant(options["at"]) if options["at"] else clock.now()
        if at > clock.now() and not options["dry_run"]:
            raise CommandError("what is not due yet is not billed, suspended or deleted: add --dry-run to see it")
        if options["dry_run"]:
            self.list_entries(at, is_csv=options["csv"])
        else:
            for kind in self.kinds:
                self.perform(kind, at)

    def list_entries(self, at: datetime, *, is_csv: bool) -> None:
        """What would be done, a line for each."""
        entries = calendar.entries(self.kinds, at=at)
        if is_csv:
            for line in csv_lines(calendar.COLUMNS, (entry.cells for entry in entries)):
                self.stdout.write(line, ending="")
        else:
            for entry in entries:
                cells = (f"{entry.at:%Y-%m-%d %H:%M}", entry.what, entry.organization, entry.label, entry.amount)
                self.stdout.write("  ".join(map(str, cells)))

    def perform(self, kind: RunKind, at: datetime) -> None:
        """One run and its summary."""
        begin = time.monotonic()
        run = runner.execute(kind, at=at, progress=self.show_progress)
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
