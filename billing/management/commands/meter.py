"""Charge the hours of what is billed by the hour."""

from billing.models import RunKind
from billing.runs.commands import RunCommand


class Command(RunCommand):
    """Safe to run again, and beside another."""

    kinds = (RunKind.METER,)
    help = "Charge the hours that are due from the wallets, and invoice those of a month that is over."
