"""Invoice the next period of the subscriptions that the shop renews."""

from billing.models import RunKind
from billing.runs.commands import RunCommand


class Command(RunCommand):
    """Safe to run again, and beside another."""

    kinds = (RunKind.RENEW,)
    help = "Issue the invoices of the periods that begin soon: one for each organization and currency."
