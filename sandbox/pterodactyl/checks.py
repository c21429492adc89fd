"""The rules of the panel's validator, one check each.

They mean what they mean in PHP and Laravel 10, because egg authors wrote their rules for those: numeric text counts as
a number, null counts as an empty string for sizes, and ``in`` compares loosely.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

INT64 = 2**63
NUMERIC = re.compile(r"[ \t\n\r\v\f]*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t\n\r\v\f]*\Z")
INTEGER = re.compile(r"[+-]?(0|[1-9]\d*)\Z")
EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\Z")
USERNAME = re.compile(r"[a-z0-9]([\w.-]+)[a-z0-9]\Z", re.ASCII)
URL = re.compile(r"(?:https?|ftps?|sftp|ssh|git|wss?|rtsp|tcp|udp|steam|file)://\S+\Z", re.IGNORECASE)
URL_HOST = re.compile(r"([^/?#@\s]*@)?(\[[0-9a-fA-F:.]+\]|[\w-]+(\.[\w-]+)*\.?)(:\d+)?([/?#]\S*)?\Z")


@dataclass(frozen=True, slots=True)
class Rule:
    """One parsed rule: its name in snake case, and its parameters."""

    name: str
    parameters: tuple[str, ...] = ()


Check = Callable[[object, Rule, bool], bool]


def is_numeric(value: object) -> bool:
    """PHP's ``is_numeric``: numbers and text that reads as one; true and false are neither."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or (isinstance(value, str) and NUMERIC.match(value) is not None)


def as_text(value: object) -> str:
    """PHP's cast to string."""
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def size_of(value: object, *, is_number: bool) -> float:
    """What ``min``, ``max``, ``between`` and ``size`` measure: the number, the count, or the characters."""
    if is_number and is_numeric(value):
        return float(as_text(value).strip())
    if isinstance(value, list | dict):
        return len(value)
    return len(as_text(value))


def is_true(value: object) -> bool:
    """The meaning of a field that passed ``boolean``."""
    return value in (True, 1, "1")


def is_filled(value: object) -> bool:
    """What ``required`` asks for: not null, not blank text, not an empty list or object."""
    if isinstance(value, str):
        return value.strip() != ""
    return value is not None and not (isinstance(value, list | dict) and not value)


def is_integer(value: object) -> bool:
    """PHP's integer filter: no leading zeros, no fraction, 64 bits."""
    if isinstance(value, list | dict):
        return False
    text = as_text(value).strip()
    return INTEGER.match(text) is not None and -INT64 <= int(text) < INT64


def is_boolean(value: object) -> bool:
    """True, false, 0, 1, "0" and "1" only; the word "true" does not pass."""
    if isinstance(value, bool):
        return True
    return (isinstance(value, int) and value in (0, 1)) or (isinstance(value, str) and value in ("0", "1"))


def is_email(value: object) -> bool:
    """An address, whose domain needs no dot."""
    return isinstance(value, str) and EMAIL.match(value) is not None and ".." not in value


def is_url(value: object) -> bool:
    """A link with a known scheme and a host."""
    if not isinstance(value, str) or URL.match(value) is None:
        return False
    return URL_HOST.match(value.split("://", 1)[1]) is not None


def is_one_of(value: object, choices: Sequence[str]) -> bool:
    """Whether the value is among the choices by PHP's ``==``, to which numeric texts are numbers."""
    if isinstance(value, list | dict):
        return False
    text = as_text(value)
    return any(
        float(text) == float(choice) if is_numeric(text) and is_numeric(choice) else text == choice
        for choice in choices
    )


def matches(value: object, delimited: str) -> bool:
    """Whether text or a number matches a PHP regular expression such as ``/^\\d+$/i``."""
    opening = delimited[:1]
    closing = {"(": ")", "[": "]", "{": "}", "<": ">"}.get(opening, opening)
    end = delimited.rindex(closing)
    modifiers = delimited[end + 1 :]
    flags = re.NOFLAG if "u" in modifiers else re.ASCII
    for modifier, flag in (("i", re.IGNORECASE), ("m", re.MULTILINE), ("s", re.DOTALL), ("x", re.VERBOSE)):
        flags |= flag if modifier in modifiers else re.NOFLAG
    return re.compile(delimited[1:end], flags).search(as_text(value)) is not None


def is_scalar(value: object) -> bool:
    """Text or a number: what the character class rules accept."""
    return isinstance(value, str) or is_numeric(value)


def has_letters_and_digits_only(value: object, extra: str) -> bool:
    """Letters, marks and digits of any script, and the extra characters."""
    text = as_text(value)
    return is_scalar(value) and text != "" and all(letter.isalnum() or letter in extra for letter in text)


def has_digits_between(value: object, low: int, high: int) -> bool:
    """Digits only, and as many as asked for."""
    text = as_text(value)
    return re.search(r"[^0-9]", text) is None and low <= len(text) <= high


def is_greater(value: object, limit: str, *, is_number: bool) -> bool:
    """Greater than the number of the rule."""
    if not is_numeric(limit) or not (is_number or is_numeric(value)):
        return False
    return size_of(value, is_number=True) > float(limit)


def size_check(compare: Callable[[float, list[float]], bool]) -> Check:
    """A check on what is measured, against the numbers of the rule."""

    def check(value: object, rule: Rule, is_number: bool) -> bool:  # noqa: FBT001 - one signature for all checks
        return compare(size_of(value, is_number=is_number), [float(limit) for limit in rule.parameters])

    return check


CHECKS: dict[str, Check] = {
    "required": lambda value, _rule, _number: is_filled(value),
    "string": lambda value, _rule, _number: isinstance(value, str),
    "integer": lambda value, _rule, _number: is_integer(value),
    "numeric": lambda value, _rule, _number: is_numeric(value),
    "boolean": lambda value, _rule, _number: is_boolean(value),
    "array": lambda value, _rule, _number: isinstance(value, list | dict),
    "email": lambda value, _rule, _number: is_email(value),
    "url": lambda value, _rule, _number: is_url(value),
    "max": size_check(lambda size, limits: size <= limits[0]),
    "min": size_check(lambda size, limits: size >= limits[0]),
    "between": size_check(lambda size, limits: limits[0] <= size <= limits[1]),
    "size": size_check(lambda size, limits: size == limits[0]),
    "gt": lambda value, rule, number: is_greater(value, rule.parameters[0], is_number=number),
    "in": lambda value, rule, _number: is_one_of(value, rule.parameters),
    "not_in": lambda value, rule, _number: not is_one_of(value, rule.parameters),
    "regex": lambda value, rule, _number: is_scalar(value) and matches(value, rule.parameters[0]),
    "not_regex": lambda value, rule, _number: is_scalar(value) and not matches(value, rule.parameters[0]),
    "alpha_dash": lambda value, _rule, _number: has_letters_and_digits_only(value, "-_"),
    "alpha_num": lambda value, _rule, _number: has_letters_and_digits_only(value, ""),
    "digits": lambda value, rule, _number: has_digits_between(value, int(rule.parameters[0]), int(rule.parameters[0])),
    "digits_between": lambda value, rule, _number: has_digits_between(
        value, int(rule.parameters[0]), int(rule.parameters[1])
    ),
    "p_username": lambda value, _rule, _number: USERNAME.match(as_text(value).lower()) is not None,
}
