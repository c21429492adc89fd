"""VAT ids of the European Union: which countries give them, and whether one is written right."""

import re

from stdnum.eu import vat

EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)
PREFIXES = {"GR": "EL"}  # where a VAT id does not begin with the country's own code
SEPARATORS = re.compile(r"[\s.\-/]")


def vat_id(tax_id: str, country: str) -> str:
    """The country's VAT id as invoices write it, such as "FR32123456789"; empty where it is none.

    Length, characters and check digits are compared (python-stdnum). Whether the id is in use only VIES knows, which
    nobody asks here.
    """
    if country not in EU:
        return ""
    prefix = PREFIXES.get(country, country)
    number = SEPARATORS.sub("", tax_id).upper()
    number = number if number.startswith(prefix) else f"{prefix}{number}"
    return number if vat.is_valid(number) else ""
