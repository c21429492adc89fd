"""Countries for addresses."""

from babel import Locale
from django.utils.translation import get_language, to_locale

# Of CLDR's territories these are groups, tests, or parts of countries that ISO 3166-1 only reserves.
NOT_COUNTRIES = frozenset("AC CP CQ DG EA EU EZ IC QO TA UN XA XB ZZ".split())  # noqa: SIM905 - reads as a list


def choices() -> list[tuple[str, str]]:
    """ISO codes of countries with their names, sorted by the names, in the active language."""
    territories = Locale.parse(to_locale(get_language() or "en")).territories
    named = [(str(code), str(name)) for code, name in territories.items()]
    countries = [(code, name) for code, name in named if len(code) == 2 and code not in NOT_COUNTRIES]
    return sorted(countries, key=lambda country: country[1])
