"""Check the whole book."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import ledger_audit
from core import clock


class Command(BaseCommand):
    """Exits 1 and names every row that breaks a rule. The result is stored, and staff see it on their start page."""

    help = "Check every rule of the ledger over the whole book, and name each row that breaks one."

    def handle(self, *args: Any, **options: Any) -> None:
        """Audit and report."""
        audit = ledger_audit.audit_ledger(at=clock.now())
        if not audit.broken_count:
            self.stdout.write(f"all {len(ledger_audit.RULES)} rules hold for the whole book")
            return
        lines = [
            f"{ledger_audit.text_of(code)}\n"
            + "\n".join("  " + " ".join(f"{name}={value}" for name, value in row.items()) for row in rows)
            for code, rows in audit.broken.items()
        ]
        raise CommandError(f"{audit.broken_count} row(s) break a rule of the ledger:\n" + "\n".join(lines))
