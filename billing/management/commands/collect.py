"""Pay the invoices that are due from their wallets."""

from billing.models import RunKind
from billing.runs.commands import RunCommand


class Command(RunCommand):
    """Safe to run again, and beside another."""

    kinds = (RunKind.COLLECT,)
    help = "Pay what is due and renews automatically."
