"""What a wallet must hold before a server that is billed by the hour is ordered."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from accounts.models import Organization
from billing import credit, metering, tax
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
    """Hours of what is quoted and of the organization's other servers, with tax; None where none is by the hour."""
    hourly = [quote for quote in quotes if quote.term == Term.HOURLY]
    if not hourly:
        return None
    currency, hours = hourly[0].currency, site_settings.get("billing.prepaid_hours")
    rate = Rate(sum((Decimal(quote.recurring.minor) for quote in hourly), Decimal(0)), currency)
    taxed = tax.assess(organization=organization, amounts=[rate.times(hours)], currency=currency, at=at)
    if organization is None:
        return taxed.total
    running = [cost.rate for cost in metering.hourly_costs(organization, at=at) if cost.rate.currency == currency]
    return sum((cost.times(hours) for cost in running), taxed.total)


def require_prepaid(quotes: Sequence[Quote], organization: Organization, *, at: datetime) -> None:
    """Raise PrepaymentNeeded where the wallet holds too little."""
    needed = prepayment(quotes, organization, at=at)
    if needed is not None and credit.balance_of(organization.pk, needed.currency) < needed:
        raise PrepaymentNeeded(needed)
