"""Check that the audit trail is as it was written."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import audit, audit_checkpoints
from core.audit_checkpoints import ChainHead


class Command(BaseCommand):
    """Exits 1 and names every broken place; otherwise prints the head, to be kept where the database's owner is not."""

    help = "Find audit entries that were edited, deleted, inserted past the chain, rebuilt, or cut off its end."

    def add_arguments(self, parser: CommandParser) -> None:
        """--from-id limits the look to newer entries; --anchor is a head printed by an earlier run."""
        parser.add_argument("--from-id", type=int)
        parser.add_argument("--anchor", metavar="POSITION:HASH")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify and report."""
        anchor = None
        if options["anchor"]:
            position, _, digest = options["anchor"].partition(":")
            if not position.isdigit() or not digest:
                raise CommandError("--anchor looks like 12:abcdef…, as printed by an earlier run")
            anchor = ChainHead(int(position), digest)
        breaks = audit.verify(options["from_id"], anchor=anchor)
        if breaks:
            lines = "\n".join(f"  entry {broken.entry_id}: {broken.problem}" for broken in breaks)
            raise CommandError(f"{len(breaks)} broken place(s) in the audit trail:\n{lines}")
        head = audit_checkpoints.head()
        self.stdout.write(f"the audit trail is intact; head {head.position}:{head.hash}" if head else "no entries yet")
