"""Mirror what providers have: locations, nodes, ports, servers, nests, eggs and users."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from servers import inventory
from servers.models import DriftFinding, Provider, SyncKind, SyncState


class Command(BaseCommand):
    """Prints what each sync read and found odd; exits 1 when one failed."""

    help = "Mirror the inventory of every active provider, or of one."

    def add_arguments(self, parser: CommandParser) -> None:
        """--provider selects one by name; --type selects what is read."""
        parser.add_argument("--provider", metavar="NAME")
        parser.add_argument("--type", choices=SyncKind.values, default=SyncKind.FULL)

    def handle(self, *args: Any, **options: Any) -> None:
        """Sync and report."""
        name, at = options["provider"], clock.now()
        if name:
            provider = Provider.objects.filter(name=name).first()
            if provider is None:
                raise CommandError(f"there is no provider called {name}")
            try:
                runs = [inventory.sync(provider_id=provider.pk, kind=options["type"], at=at)]
            except inventory.SyncBusy:
                raise CommandError(f"{name} is being synced already") from None
        else:
            runs = inventory.sync_all(at=at, kind=options["type"])
        for run in runs:
            took = (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else 0
            self.stdout.write(f"{run.provider.name}: {run.state} in {took:.1f} s {run.error}".rstrip())
            for kind, counts in run.counts.items():
                self.stdout.write(f"  {kind}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))
            for finding in DriftFinding.objects.filter(provider=run.provider_id, closed_at=None).order_by("kind", "pk"):
                self.stdout.write(f"  ! {finding.kind}: {finding.subject}: {finding.expected} -> {finding.found}")
        failed = [run for run in runs if run.state != SyncState.COMPLETED]
        if failed:
            raise CommandError(f"{len(failed)} of {len(runs)} syncs failed")
