"""Take over the servers that a provider has: shown first, then done."""

from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Term
from core import clock
from orders.adoption import TERMS, first_of_next_month
from orders.imports import importing
from orders.imports.mapping import MappingError, parse_mapping
from orders.imports.models import ImportOutcome, ImportState
from servers.models import Provider


class Command(BaseCommand):
    """Prints a line for each server: what happens to it, or why it is left out. Without --import nothing is done."""

    help = "Take over a provider's servers into organizations and subscriptions. Shows only, unless --import is given."

    def add_arguments(self, parser: CommandParser) -> None:
        """The mapping is a CSV with the columns ref, email, plan, term and billed_from, of which ref is needed."""
        parser.add_argument("--provider", metavar="NAME", required=True)
        parser.add_argument("--mapping", metavar="FILE", type=Path)
        parser.add_argument("--term", choices=TERMS, default=Term.MONTHLY)
        parser.add_argument("--billed-from", metavar="DATE", type=date.fromisoformat, help="default: the next month")
        parser.add_argument(
            "--match-by-email",
            action="store_true",
            help="accounts there are those of the customers here with the same addresses, which nobody has checked",
        )
        parser.add_argument("--import", action="store_true", dest="is_import")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, and import where that is asked for. Killed, it is run again: what is ours already is left out."""
        at = clock.now()
        provider = Provider.objects.filter(name=options["provider"]).first()
        if provider is None:
            raise CommandError(f"there is no provider called {options['provider']}")
        try:
            mapping = parse_mapping(options["mapping"].read_text("utf-8")) if options["mapping"] else []
        except (MappingError, OSError, UnicodeDecodeError) as error:
            raise CommandError(str(error)) from error
        billed_from = options["billed_from"] or first_of_next_month(at.date())
        server_import = importing.request_check(
            provider=provider,
            mapping=mapping,
            term=options["term"],
            billed_from=billed_from,
            matches_by_email=options["match_by_email"],
            actor=None,
            at=at,
        )
        importing.advance(server_import_id=server_import.pk, at=at)
        if options["is_import"]:
            importing.request_import(server_import=server_import, actor=None, at=at)
            while importing.advance(server_import_id=server_import.pk, at=clock.now()):
                pass
        for row in server_import.rows.select_related("plan").order_by("position"):
            cells = (row.outcome, row.ref, row.name, row.email, row.plan or "", row.term, row.billed_from, row.note)
            self.stdout.write("  ".join(str(cell) for cell in cells))
        server_import.refresh_from_db()
        counts = {each: server_import.rows.filter(outcome=each).count() for each in ImportOutcome}
        self.stdout.write(", ".join(f"{count} {each.value}" for each, count in counts.items() if count) or "nothing")
        if server_import.state == ImportState.CHECKED:
            self.stdout.write("Nothing was done. Add --import to do it.")
