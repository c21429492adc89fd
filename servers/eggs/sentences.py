"""What to tell a person whose value breaks a rule: one sentence to stand beside the form field."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from .checks import Rule, Subject

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

# A sentence listing all countries of the world helps nobody.
MAX_CHOICE_LIST = 12

FIXED: dict[str, "StrPromise"] = {
    "required": _("This value is required."),
    "string": _("This value must not be empty."),
    "integer": _("Enter a whole number."),
    "numeric": _("Enter a number."),
    "boolean": _("Enter 1 for yes or 0 for no."),
    "alpha": _("Use letters only."),
    "alpha_num": _("Use letters and digits only."),
    "alpha_dash": _("Use letters, digits, dashes and underscores only."),
    "url": _("Enter a whole web address, such as https://example.com/file.zip."),
}
WITH_AMOUNTS: dict[str, "StrPromise"] = {
    "max": _("Enter at most {0}."),
    "min": _("Enter at least {0}."),
    "between": _("Enter a number from {0} to {1}."),
    "size": _("Enter exactly {0}."),
    "gt": _("Enter a number greater than {0}."),
    "gte": _("Enter a number of {0} or more."),
    "lt": _("Enter a number less than {0}."),
    "lte": _("Enter a number of {0} or less."),
    "digits_between": _("Enter from {0} to {1} digits and nothing else."),
    "regex": _("This value does not match the pattern {0}."),
    "not_regex": _("This value must not match the pattern {0}."),
}


def sentence(rule: Rule, subject: Subject) -> "StrPromise":
    """The sentence for a broken rule; the rule must be one of `checks.CHECKS` with its parameters in place."""
    if rule.name in FIXED:
        return FIXED[rule.name]
    if rule.name in LISTS:
        return LISTS[rule.name](rule.parameters)
    if rule.name in LENGTHS and not subject.is_amount:
        return LENGTHS[rule.name](rule.parameters)
    return format_lazy(WITH_AMOUNTS[rule.name], *rule.parameters)


def _choice(parameters: tuple[str, ...]) -> "StrPromise":
    choices = [parameter for parameter in parameters if parameter]
    if not choices:
        return _("This value is not one of the choices.")
    if len(choices) > MAX_CHOICE_LIST:
        shown = ", ".join(choices[:MAX_CHOICE_LIST])
        return format_lazy(_("Choose one of {choices} and others."), choices=shown)
    return format_lazy(_("Choose one of these: {choices}."), choices=", ".join(choices))


def _exclusion(parameters: tuple[str, ...]) -> "StrPromise":
    return format_lazy(_("This value must not be one of these: {choices}."), choices=", ".join(parameters))


def _counted(limit: str) -> int:
    """The number that picks singular or plural; limits need not be whole, and those read as plural."""
    return int(limit) if limit.isdecimal() else 2


def _longest(parameters: tuple[str, ...]) -> "StrPromise":
    sentences = ngettext_lazy("Use at most {0} character.", "Use at most {0} characters.", _counted(parameters[0]))
    return format_lazy(sentences, *parameters)


def _shortest(parameters: tuple[str, ...]) -> "StrPromise":
    sentences = ngettext_lazy("Use at least {0} character.", "Use at least {0} characters.", _counted(parameters[0]))
    return format_lazy(sentences, *parameters)


def _exact_length(parameters: tuple[str, ...]) -> "StrPromise":
    sentences = ngettext_lazy("Use exactly {0} character.", "Use exactly {0} characters.", _counted(parameters[0]))
    return format_lazy(sentences, *parameters)


def _digit_count(parameters: tuple[str, ...]) -> "StrPromise":
    sentences = ngettext_lazy("Enter exactly {0} digit.", "Enter exactly {0} digits.", _counted(parameters[0]))
    return format_lazy(sentences, *parameters)


def _length_range(parameters: tuple[str, ...]) -> "StrPromise":
    return format_lazy(_("Use {0} to {1} characters."), *parameters)


LISTS: dict[str, Callable[[tuple[str, ...]], "StrPromise"]] = {
    "in": _choice,
    "not_in": _exclusion,
    "digits": _digit_count,
}
LENGTHS: dict[str, Callable[[tuple[str, ...]], "StrPromise"]] = {
    "max": _longest,
    "min": _shortest,
    "size": _exact_length,
    "between": _length_range,
}
