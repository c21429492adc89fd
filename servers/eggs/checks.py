"""Each known rule as a question put to one value; which rules run at all is decided in `rules`."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from . import php, preg, web_address

# A parameter such as the 20 of "max:20".
type Parameters = tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """One rule of a list: its snake-case name, its parameters, and the text it was written as."""

    name: str
    parameters: Parameters
    text: str


@dataclass(frozen=True)
class Subject:
    """A value under examination. `is_number` tells that its list says `numeric` or `integer`, so size means amount."""

    value: str | None
    is_number: bool

    @property
    def text(self) -> str:
        """The value, with null as empty text."""
        return self.value or ""

    @property
    def is_amount(self) -> bool:
        """Whether sizes compare the number the text stands for, rather than its length in characters."""
        return self.is_number and php.is_numeric(self.text)

    @property
    def size(self) -> Decimal | None:
        """What `max` and its kin compare; None for a number too large to be weighed."""
        return php.number(self.text) if self.is_amount else Decimal(len(self.text))


type Check = Callable[[Subject, Parameters], bool]


def _limit(parameter: str) -> Decimal:
    limit = php.number(php.trimmed(parameter))
    if limit is None:
        raise ValueError(parameter)
    return limit


def _max(subject: Subject, parameters: Parameters) -> bool:
    size = subject.size
    return size is not None and size <= _limit(parameters[0])


def _min(subject: Subject, parameters: Parameters) -> bool:
    size = subject.size
    return size is not None and size >= _limit(parameters[0])


def _between(subject: Subject, parameters: Parameters) -> bool:
    return _min(subject, parameters[:1]) and _max(subject, parameters[1:])


def _size(subject: Subject, parameters: Parameters) -> bool:
    return subject.size == _limit(parameters[0])


def _gt(subject: Subject, parameters: Parameters) -> bool:
    """Unlike `min`, a comparison takes any numeric text as an amount, even without `numeric` beside it."""
    amount = php.number(subject.text)
    return amount is not None and amount > _limit(parameters[0])


def _gte(subject: Subject, parameters: Parameters) -> bool:
    amount = php.number(subject.text)
    return amount is not None and amount >= _limit(parameters[0])


def _lt(subject: Subject, parameters: Parameters) -> bool:
    amount = php.number(subject.text)
    return amount is not None and amount < _limit(parameters[0])


def _lte(subject: Subject, parameters: Parameters) -> bool:
    amount = php.number(subject.text)
    return amount is not None and amount <= _limit(parameters[0])


def _in(subject: Subject, parameters: Parameters) -> bool:
    return any(php.loosely_equal(subject.text, parameter) for parameter in parameters)


def _digit_count(subject: Subject) -> int | None:
    return len(subject.text) if re.fullmatch(r"[0-9]*", subject.text) else None


def _digits(subject: Subject, parameters: Parameters) -> bool:
    return _digit_count(subject) == _limit(parameters[0])


def _digits_between(subject: Subject, parameters: Parameters) -> bool:
    count = _digit_count(subject)
    return count is not None and _limit(parameters[0]) <= count <= _limit(parameters[1])


def _consists_of(text: str, categories: str, extra: str = "") -> bool:
    return bool(text) and all(unicodedata.category(letter)[0] in categories or letter in extra for letter in text)


def _regex(subject: Subject, parameters: Parameters) -> bool:
    return subject.value is not None and preg.translate(parameters[0]).matches(subject.value)


def _not_regex(subject: Subject, parameters: Parameters) -> bool:
    return subject.value is not None and not preg.translate(parameters[0]).matches(subject.value)


CHECKS: dict[str, Check] = {
    "required": lambda subject, _: subject.value is not None,
    "string": lambda subject, _: subject.value is not None,
    "integer": lambda subject, _: php.is_integer(subject.text),
    "numeric": lambda subject, _: php.is_numeric(subject.text),
    "boolean": lambda subject, _: subject.text in {"0", "1"},
    "max": _max,
    "min": _min,
    "between": _between,
    "size": _size,
    "gt": _gt,
    "gte": _gte,
    "lt": _lt,
    "lte": _lte,
    "in": _in,
    "not_in": lambda subject, parameters: not _in(subject, parameters),
    "regex": _regex,
    "not_regex": _not_regex,
    # Letters, marks and numbers of any script.
    "alpha": lambda subject, _: _consists_of(subject.text, "LM"),
    "alpha_num": lambda subject, _: _consists_of(subject.text, "LMN"),
    "alpha_dash": lambda subject, _: _consists_of(subject.text, "LMN", "-_"),
    "digits": _digits,
    "digits_between": _digits_between,
    "url": lambda subject, _: web_address.is_url(subject.text),
}

_ONE_NUMBER = ("max", "min", "size", "digits", "gt", "gte", "lt", "lte")
_TWO_NUMBERS = ("between", "digits_between")
# Fewer parameters make the panel stumble, as do limits that are no numbers.
PARAMETER_COUNTS = {
    **dict.fromkeys((*_ONE_NUMBER, "regex", "not_regex"), 1),
    **dict.fromkeys(_TWO_NUMBERS, 2),
}
PARAMETER_KINDS: dict[str, Callable[[str], bool]] = dict.fromkeys(
    (*_ONE_NUMBER, *_TWO_NUMBERS), lambda parameter: php.number(php.trimmed(parameter)) is not None
)
