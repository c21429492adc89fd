"""Reading and writing the fields of Stripe's objects: references, metadata, instants and amounts.

Stripe's minor units are not always those of ISO 4217 (contract §8). They are converted here and nowhere else.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from core.money import Money, exponent
from core.outside import Rejected

# One unit is sent as 1 for these; ISK and UGX are sent in hundredths although ISO 4217 gives them no decimals.
ZERO_DECIMAL = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


def id_of(thing: Any) -> str:
    """The id of an expanded object or of one named by its id; empty for none."""
    if thing is None:
        return ""
    return thing if isinstance(thing, str) else str(thing.id)


def value(thing: Any, *path: str) -> Any:
    """The value at the end of a path of attributes, None where any of it is missing."""
    for name in path:
        if thing is None or isinstance(thing, str):
            return None
        thing = getattr(thing, name, None)
    return thing


def metadata_id(metadata: Any, name: str) -> UUID | None:
    """One of our ids from an object's metadata; None where it is missing or not a UUID."""
    text = getattr(metadata, name, None) if metadata is not None else None
    try:
        return UUID(str(text)) if text else None
    except ValueError:
        return None


def instant(seconds: int) -> datetime:
    """Unix seconds as an aware instant."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def to_stripe_amount(amount: Money) -> int:
    """The integer Stripe expects. Rejected where Stripe cannot express the amount exactly."""
    exact = Decimal(amount.minor).scaleb(_decimals(amount.currency) - exponent(amount.currency))
    is_not_in_tens = amount.currency in THREE_DECIMAL and amount.minor % 10
    if exact != exact.to_integral_value() or is_not_in_tens:
        raise Rejected(f"Stripe cannot charge {amount.minor} minor units of {amount.currency}")
    return int(exact)


def from_stripe_amount(amount: int, currency: str) -> Money:
    """Our amount for Stripe's integer and lower-case code. Rejected where it is no whole number of minor units."""
    code = currency.upper()
    exact = Decimal(amount).scaleb(exponent(code) - _decimals(code))
    if exact != exact.to_integral_value():
        raise Rejected(f"Stripe's amount {amount} is no whole number of minor units of {code}")
    return Money(int(exact), code)


def _decimals(currency: str) -> int:
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2
