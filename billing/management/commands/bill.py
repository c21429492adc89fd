"""All kinds of runs, in the order in which they are due on a day: the billing calendar, where it is a dry run."""

from billing.runs import runner
from billing.runs.commands import RunCommand


class Command(RunCommand):
    """Safe to run again, and beside another."""

    kinds = tuple(runner.STEPS)
    help = "Renew, collect, meter, dun and expire. With --dry-run, list what a day brings."
