"""Remind of unpaid invoices, and suspend what they were to pay for."""

from billing.models import RunKind
from billing.runs.commands import RunCommand


class Command(RunCommand):
    """Safe to run again, and beside another."""

    kinds = (RunKind.DUN,)
    help = "Mark what is overdue, send the reminders that are due, and suspend servers."
