"""The few notions of PHP that a panel's validation leans on: trimming, numeric text, loose equality, CSV lists."""

import csv
import re
from decimal import Decimal

INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**63 - 1
# The panel's arbitrary-precision numbers refuse larger exponents, so that "1e999999999" cannot eat its memory.
EXPONENT_LIMIT = 1000

_STRIPPED = "\t\n\v\f\r \x85\xa0\u1680\u180e\u2028\u2029\u202f\u205f\u3000\u200b\ufeff" + "".join(
    chr(code) for code in range(0x2000, 0x200B)
)
_NUMERIC = re.compile(r"[ \t\n\r\v\f]*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\n\r\v\f]*")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
# int() of a longer text costs time and could never fit 64 bits anyway.
_INTEGER_CHARACTERS = 20


def trimmed(text: str) -> str:
    """The text as the panel sees it: without leading and trailing blanks and invisible marks."""
    return text.strip(_STRIPPED)


def is_numeric(text: str) -> bool:
    """Whether PHP calls the text a number: sign, decimals and exponent allowed, blanks around it too."""
    return _NUMERIC.fullmatch(text) is not None


def is_integer(text: str) -> bool:
    """Whether the text is a whole 64-bit number written without leading zeros."""
    bare = text.strip(" \t\n\r\v")
    if len(bare) > _INTEGER_CHARACTERS or not _INTEGER.fullmatch(bare):
        return False
    return INTEGER_MIN <= int(bare) <= INTEGER_MAX


def number(text: str) -> Decimal | None:
    """The exact value of numeric text; None for other text and for exponents the panel refuses."""
    if not is_numeric(text):
        return None
    bare = text.strip().lower()
    exponent = bare.partition("e")[2].lstrip("+-").lstrip("0")
    if len(exponent) > len(str(EXPONENT_LIMIT)) or int(exponent or "0") > EXPONENT_LIMIT:
        return None
    return Decimal(bare)


def loosely_equal(left: str, right: str) -> bool:
    """PHP's `==` between two texts: numbers compare by value ("1" equals "1.0"), all else letter by letter."""
    left_number, right_number = number(left), number(right)
    if left_number is None or right_number is None:
        return left == right
    return left_number == right_number


def comma_list(text: str) -> tuple[str, ...]:
    """The fields of one CSV line; empty text is one empty field, as in PHP."""
    return tuple(next(csv.reader([text]), ())) or ("",)
