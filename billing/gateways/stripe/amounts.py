"""Stripe's minor units, which are not always ISO's (contract §8): converted here, at the edge, and nowhere else."""

from decimal import Decimal

from core.money import Money, exponent
from core.outside import Rejected

# One unit is sent as 1 for these; ISK and UGX are sent in hundredths although ISO 4217 gives them no decimals.
ZERO_DECIMAL = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


def _places(currency: str) -> int:
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def to_stripe(amount: Money) -> int:
    """The integer Stripe expects. Rejected where Stripe cannot express the amount exactly."""
    exact = Decimal(amount.minor).scaleb(_places(amount.currency) - exponent(amount.currency))
    is_ragged = amount.currency in THREE_DECIMAL and amount.minor % 10
    if exact != exact.to_integral_value() or is_ragged:
        raise Rejected(f"Stripe cannot charge {amount.minor} minor units of {amount.currency}")
    return int(exact)


def from_stripe(amount: int, currency: str) -> Money:
    """Our amount for Stripe's integer and lower-case code. Rejected where it is no whole number of minor units."""
    code = currency.upper()
    exact = Decimal(amount).scaleb(exponent(code) - _places(code))
    if exact != exact.to_integral_value():
        raise Rejected(f"Stripe's amount {amount} is no whole number of minor units of {code}")
    return Money(int(exact), code)
