"""The validation rules of egg variables, such as "required|string|max:20", as far as they are checked before the panel.

The panel's validator is Laravel's. Checked here are the rules that most eggs use; any other, or one written in an
unusual way, passes here and is left to the panel, whose answer names the variable.
"""

import csv
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

SYNONYMS = {"int": "integer", "bool": "boolean"}
MAX_LISTED_CHOICES = 12
MAX_MATCHED_LENGTH = 255  # a longer value is not tried against a pattern here
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
_EXPRESSION = re.compile(r"(?P<delimiter>[/#~])(?P<body>.*)(?P=delimiter)(?P<flag>i?)")
# What means the same in PHP and in Python: characters, escapes, classes, groups and repetitions.
_PLAIN = re.compile(
    r"(?:\\[dDsSwWbBnrt]|\\[^A-Za-z0-9]|[^\\()\[{*+?]"
    r"|\[\^?(?:\\[dDsSwWnrt]|\\[^A-Za-z0-9]|[^\\\[\]])+\]"
    r"|\((?:\?[:=!])?(?![?*])|\)|[*+?]\??|\{[0-9]+(?:,[0-9]*)?\}\??)*+"
)
# A repeated group can take exponential time, unless every repetition has a small limit.
_REPEATED_GROUP = re.compile(r"\)(?:[*+]|\{[0-9]+,\})|\)\{.*[*+]|[*+].*\)\{")


@dataclass(frozen=True)
class Violation:
    """A rule that a value breaks, and what to enter instead."""

    rule: str
    message: "StrPromise"


def violations(rules: str, value: str) -> list[Violation]:
    """The rules of the list that the value breaks, in the list's order; only `required` where that is broken.

    As on the panel, empty text is null: it passes if the list says `nullable`, and otherwise breaks most rules.
    """
    text = value.strip()
    # As on the panel, "|" separates even inside a pattern, unless the list begins with one.
    entries = [rules] if rules.startswith(("regex:", "not_regex:")) else rules.split("|")
    parsed = []
    for entry in entries:
        name, _colon, parameters = entry.partition(":")
        name = name.strip().lower()
        parsed.append((SYNONYMS.get(name, name), parameters))
    names = {name for name, _parameters in parsed}
    if not text and "required" in names:
        return [Violation("required", _("This value is required."))]
    if not text and "nullable" in names:
        return []
    # Beside `numeric` or `integer` the size of a number is its amount; any other text's is its length.
    amount = number(text) if names & {"numeric", "integer"} else None
    found = ((name, problem(name, parameters, text, amount)) for name, parameters in parsed)
    return [Violation(name, message) for name, message in found if message]


def number(text: str) -> Decimal | None:
    """The value of numeric text; None for any other."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def problem(rule: str, parameters: str, text: str, amount: Decimal | None) -> "StrPromise | None":
    """What to enter instead of a value that breaks the rule; None also for a rule that is left to the panel."""
    match rule:
        case "string" if not text:
            return _("This value must not be empty.")
        case "integer" if not _INTEGER.fullmatch(text):
            return _("Enter a whole number.")
        case "numeric" if number(text) is None:
            return _("Enter a number.")
        case "boolean" if text not in {"0", "1"}:
            return _("Enter 1 for yes or 0 for no.")
        case "in":
            choices = next(csv.reader([parameters]), [])
            # As in PHP, numbers are compared by value: "1" is "1.0".
            if text not in choices and (number(text) is None or number(text) not in map(number, choices)):
                listed = [choice for choice in choices if choice][:MAX_LISTED_CHOICES]
                return format_lazy(_("Choose one of these: {choices}."), choices=", ".join(listed))
        case "min" | "max" | "between":
            return size_problem(rule, parameters, text, amount)
        case "regex" if matches(parameters, text) is False:
            return format_lazy(_("This value does not match the pattern {pattern}."), pattern=parameters)
    return None


def size_problem(rule: str, parameters: str, text: str, amount: Decimal | None) -> "StrPromise | None":
    """The amount of a number, or the length of any other text, against one or two limits."""
    limits = [number(limit.strip()) for limit in parameters.split(",")]
    low, high = {"min": (limits[0], None), "max": (None, limits[0])}.get(rule, (limits[0], limits[-1]))
    if None in limits or (rule == "between" and len(limits) != 2):
        return None  # not numbers, such as the name of another field
    size = Decimal(len(text)) if amount is None else amount
    if (low is None or size >= low) and (high is None or size <= high):
        return None
    sentences = {
        ("min", True): _("Enter at least {low}."),
        ("max", True): _("Enter at most {high}."),
        ("between", True): _("Enter a number from {low} to {high}."),
        ("min", False): _("Enter at least {low} characters."),
        ("max", False): _("Enter at most {high} characters."),
        ("between", False): _("Enter {low} to {high} characters."),
    }
    return format_lazy(sentences[rule, amount is not None], low=low, high=high)


def matches(expression: str, text: str) -> bool | None:
    """Whether the PHP expression is found in the text; None where that is left to the panel."""
    pattern = compile_pattern(expression)
    # PHP compares bytes, which is the same only for ASCII.
    if pattern is None or not text.isascii() or len(text) > MAX_MATCHED_LENGTH:
        return None
    return bool(text) and pattern.search(text) is not None


@lru_cache(maxsize=512)
def compile_pattern(expression: str) -> re.Pattern[str] | None:
    """A plain PHP expression, delimiters included, as a Python one; None for any other."""
    found = _EXPRESSION.fullmatch(expression.strip())
    if found is None or not found["body"].isascii():
        return None
    if not _PLAIN.fullmatch(found["body"]) or _REPEATED_GROUP.search(found["body"]):
        return None
    try:
        return re.compile(found["body"], re.ASCII | (re.IGNORECASE if found["flag"] else re.NOFLAG))
    except re.error:
        return None
