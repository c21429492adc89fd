"""End what is not paid, and delete what has been over for long."""

from billing.models import RunKind
from billing.runs.commands import RunCommand


class Command(RunCommand):
    """Safe to run again, and beside another."""

    kinds = (RunKind.EXPIRE,)
    help = "End subscriptions that are not paid in time, and delete the servers of those that are over."
