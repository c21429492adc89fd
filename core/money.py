"""Money: whole minor units with a currency. No float, and no arithmetic across currencies."""

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import lru_cache

from babel import Locale
from babel.numbers import get_currency_symbol
from django.utils.translation import get_language, to_locale

# ISO 4217: how many decimal places a currency's minor unit has; two where not named here.
WHOLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split()  # noqa: SIM905 - reads as a list
THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND".split()  # noqa: SIM905
EXPONENTS = dict.fromkeys(WHOLE, 0) | dict.fromkeys(THOUSANDTHS, 3) | {"CLF": 4, "UYW": 4}
# What can be paid comes in steps of more than one minor unit: card networks take thousandths in tens, and rupiah and
# ariary are paid whole although ISO 4217 divides them.
PAYABLE_STEPS = dict.fromkeys(THOUSANDTHS, 10) | {"IDR": 100, "MGA": 100}
# Currencies that are written as at home in every language: "Rp 50.000", not "IDR 50,000.00".
HOME_LOCALES = {"IDR": "id"}
CODE = re.compile(r"[A-Z]{3}")
PRODUCT_DIGITS = 60  # enough for a product of two NUMERIC columns to be exact before it is rounded
# ASCII digits only, and few enough that the minor units fit the BIGINT columns.
DECIMAL = re.compile(r"-?[0-9]{1,14}(?:\.[0-9]{1,12})?")
RATE_PLACES, RATE_DIGITS = 10, 20  # of the NUMERIC columns that hold rates, in minor units


class CurrencyMismatch(ValueError):
    """Two currencies in one sum or comparison."""


class TooFine(ValueError):
    """An amount with more decimals than the currency has, or than a rate can have."""


def exponent(currency: str) -> int:
    """Decimal places of the currency's minor unit (ISO 4217): JPY 0, USD 2, KWD 3."""
    return EXPONENTS.get(currency, 2)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount: `minor` whole minor units of `currency` (ISO 4217 in capitals)."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if isinstance(self.minor, bool) or not isinstance(self.minor, int):
            raise TypeError(f"money is whole minor units, not {self.minor!r}")
        if not CODE.fullmatch(self.currency):
            raise ValueError(f"{self.currency!r} is not a currency code")

    @classmethod
    def zero(cls, currency: str) -> "Money":
        """Nothing, in `currency`."""
        return cls(0, currency)

    @classmethod
    def parse(cls, text: str, currency: str) -> "Money":
        """Read a decimal such as "12.50". Raises TooFine, and ValueError where it is no number."""
        minor = _minor_units(text, currency)
        if minor != minor.to_integral_value():
            raise TooFine(f"{text!r} is not a whole number of minor units of {currency}")
        return cls(int(minor), currency)

    def _minor_of(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not mix")
        return other.minor

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._minor_of(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._minor_of(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __mul__(self, times: int) -> "Money":
        if isinstance(times, bool) or not isinstance(times, int):
            raise TypeError("money is multiplied by whole numbers only")
        return Money(self.minor * times, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._minor_of(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._minor_of(other)

    def __gt__(self, other: "Money") -> bool:
        return self.minor > self._minor_of(other)

    def __ge__(self, other: "Money") -> bool:
        return self.minor >= self._minor_of(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    @property
    def amount(self) -> Decimal:
        """In major units, exact: Money(1250, "USD").amount == Decimal("12.50")."""
        return Decimal(self.minor).scaleb(-exponent(self.currency))

    def __str__(self) -> str:
        """Formatted for the current language, to the last minor unit; whole rupiah have no decimals."""
        return _text(Rate(Decimal(self.minor), self.currency), get_language() or "en")


@dataclass(frozen=True, slots=True)
class Rate:
    """A price of one unit, which may be finer than a minor unit: $0.0069 an hour is `Rate(Decimal("0.69"), "USD")`."""

    minor: Decimal
    currency: str

    @classmethod
    def parse(cls, text: str, currency: str) -> "Rate":
        """Read a decimal such as "0.0069". Raises TooFine, and ValueError where it is no number."""
        minor = _minor_units(text, currency)
        if minor != round(minor, RATE_PLACES):
            raise TooFine(f"{text!r} has more decimals than a rate of {currency} can have")
        if abs(minor) >= 10 ** (RATE_DIGITS - RATE_PLACES):
            raise ValueError(f"{text!r} is too large for a rate")
        return cls(minor, currency)

    def times(self, quantity: Decimal | int) -> Money:
        """What so many units cost. The only place where a charge is rounded: to a whole minor unit, half to even.

        The database computes the same (`billing_round_half_even`).
        """
        with localcontext(prec=PRODUCT_DIGITS):
            return Money(int((self.minor * quantity).quantize(Decimal(1), ROUND_HALF_EVEN)), self.currency)

    def __str__(self) -> str:
        """Formatted for the current language, with as many decimals as the rate has and at least the currency's."""
        return _text(self, get_language() or "en")


@lru_cache(maxsize=1024)
def _text(rate: Rate, _language: str) -> str:
    amount = rate.minor.scaleb(-exponent(rate.currency)).normalize()
    decimals = -int(amount.as_tuple().exponent)
    is_paid_whole = payable_step(rate.currency).minor == 10 ** exponent(rate.currency)
    places = 0 if is_paid_whole and decimals <= 0 else max(exponent(rate.currency), decimals)
    return formatted(amount, rate.currency, places=places)


def formatted(amount: Decimal, currency: str, *, places: int) -> str:
    """An amount in major units as the current language writes it, always with `places` decimals.

    CLDR leaves the decimals out for some currencies. A code, such as KWD, stands apart from the digits.
    """
    locale = Locale.parse(HOME_LOCALES.get(currency) or to_locale(get_language() or "en"))
    pattern = copy.copy(locale.currency_formats["standard"])
    pattern.frac_prec = (places, places)
    if get_currency_symbol(currency, locale)[-1].isalpha():
        pattern.prefix = tuple(re.sub("¤$", "¤\xa0", prefix) for prefix in pattern.prefix)
    text: str = pattern.apply(amount, locale, currency=currency, currency_digits=False)
    return text


def payable_step(currency: str) -> Money:
    """The smallest amount that can be paid and shown; every payable amount is a multiple of it."""
    return Money(PAYABLE_STEPS.get(currency, 1), currency)


def _minor_units(text: str, currency: str) -> Decimal:
    if not DECIMAL.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not an amount")
    return Decimal(text).scaleb(exponent(currency))


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum in `currency`; zero for none; CurrencyMismatch where one differs."""
    result = Money.zero(currency)
    for amount in amounts:
        result += amount
    return result
