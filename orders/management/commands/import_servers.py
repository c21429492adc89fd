"""Take over the servers that a provider has: shown first, then done."""

from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Term
from core import clock
from orders.adoption import TERMS, first_of_next_month
from orders.imports import importing
from orders.imports.mapping import MappingError, parse_mapping
from orders.imports.models import ImportOutcome, ImportState, ServerImport
from servers.models import Provider


class Command(BaseCommand):
    """Prints a line for each server: what would happen to it, or why it is left out. Only what was shown is done."""

    help = "Take over a provider's servers: check with --provider, and do what a check has shown with --import CHECK."

    def add_arguments(self, parser: CommandParser) -> None:
        """The mapping is a CSV with the columns ref, email, plan, term and billed_from, of which ref is needed."""
        parser.add_argument("--provider", metavar="NAME", help="check what it has")
        parser.add_argument("--mapping", metavar="FILE", type=Path)
        parser.add_argument("--term", choices=TERMS, default=Term.MONTHLY)
        parser.add_argument("--billed-from", metavar="DATE", type=date.fromisoformat, help="default: the next month")
        parser.add_argument(
            "--match-by-email",
            action="store_true",
            help="accounts there are those of the customers here with the same addresses, which nobody has checked",
        )
        parser.add_argument("--import", metavar="CHECK", type=UUID, dest="check", help="do what this check has shown")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, or import what was checked. Killed, it is run again: what is ours already is left out."""
        if bool(options["provider"]) == bool(options["check"]):
            raise CommandError("name either a provider to check, or with --import the check whose servers to take over")
        server_import = self.imported(options["check"]) if options["check"] else self.checked(options)
        for row in server_import.rows.select_related("plan").order_by("position"):
            cells = (row.outcome, row.ref, row.name, row.email, row.plan or "", row.term, row.billed_from, row.note)
            self.stdout.write("  ".join(str(cell) for cell in cells))
        counts = {each: server_import.rows.filter(outcome=each).count() for each in ImportOutcome}
        self.stdout.write(", ".join(f"{count} {each.value}" for each, count in counts.items() if count) or "nothing")
        if not options["check"]:
            self.stdout.write(f"Nothing was done. Do it: manage.py import_servers --import {server_import.pk}")

    def checked(self, options: dict[str, Any]) -> ServerImport:
        """A new check."""
        at = clock.now()
        provider = Provider.objects.filter(name=options["provider"]).first()
        if provider is None:
            raise CommandError(f"there is no provider called {options['provider']}")
        try:
            mapping = parse_mapping(options["mapping"].read_text("utf-8")) if options["mapping"] else []
        except (MappingError, OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from error
        server_import = importing.request_check(
            provider=provider,
            mapping=mapping,
            term=options["term"],
            billed_from=options["billed_from"] or first_of_next_month(at.date()),
            matches_by_email=options["match_by_email"],
            actor=None,
            at=at,
        )
        importing.advance(server_import_id=server_import.pk, at=at)
        return server_import

    def imported(self, check: UUID) -> ServerImport:
        """What a check has shown, done."""
        server_import = ServerImport.objects.filter(pk=check).exclude(state=ImportState.CHECKING).first()
        if server_import is None:
            raise CommandError(f"there is no check {check}, or it has not ended")
        importing.request_import(server_import=server_import, actor=None, at=clock.now())
        while importing.advance(server_import_id=server_import.pk, at=clock.now()):
            pass
        return server_import
