"""What a wallet must hold before a server that is billed by the hour is ordered."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Q, Sum

from accounts.models import Organization
from billing import ledger, subscriptions, tax
from billing.models import PERIOD_KINDS, SubscriptionItem
from catalog.models import Term
from core import site_settings
from core.money import Money, Rate
from orders.quote import Quote


class PrepaymentNeeded(Exception):
    """The wallet holds less than `amount`."""

    def __init__(self, amount: Money) -> None:
        super().__init__(str(amount))
        self.amount = amount


def prepayment(quotes: Sequence[Quote], organization: Organization | None, *, at: datetime) -> Money | None:
    """Hours of what is quoted and of the organization's other servers, with tax; None where none is by the hour.

    Others are also those that do not run yet, and suspended ones: all that the wallet has to pay.
    """
    hourly = [quote for quote in quotes if quote.term == Term.HOURLY]
    if not hourly:
        return None
    currency, hours = hourly[0].currency, site_settings.get("billing.prepaid_hours")
    minor = sum((Decimal(quote.recurring.minor) for quote in hourly), Decimal(0))
    if organization is not None:
        others = SubscriptionItem.objects.filter(
            Q(valid_until=None) | Q(valid_until__gt=at),
            organization=organization,
            currency=currency,
            kind__in=PERIOD_KINDS,
            subscription__term=Term.HOURLY,
        ).exclude(subscription__status__in=subscriptions.OVER)
        minor += others.aggregate(minor=Sum(F("quantity") * F("unit_minor")))["minor"] or 0
    amounts = [Rate(minor, currency).times(hours)]
    return tax.assess(organization=organization, amounts=amounts, currency=currency, at=at).total


def require_prepaid(quotes: Sequence[Quote], organization: Organization, *, spent: Money, at: datetime) -> None:
    """Raise PrepaymentNeeded where the wallet holds too little beside what the order itself takes from it.

    Judged under the wallet's lock, which orders at the same time wait for; the caller holds a transaction.
    """
    if not any(quote.term == Term.HOURLY for quote in quotes):
        return
    wallet = ledger.lock_wallet(organization, quotes[0].currency)
    needed = prepayment(quotes, organization, at=at)
    if needed is not None and wallet.spendable < needed + spent:
        raise PrepaymentNeeded(needed + spent)
