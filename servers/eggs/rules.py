"""The rule lists of egg variables ("required|string|max:20"): read and applied as the panel's validator does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from . import checks, php, preg, sentences
from .checks import Rule, Subject

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

__all__ = ["Rule", "RuleSet", "Uncheckable", "Violation", "parse", "uncheckable", "unknown_rules", "violations"]

type RuleSet = tuple[Rule, ...]

SHORT_NAMES = {"int": "integer", "bool": "boolean"}
# Rules that steer the others and never fail here: every variable is always sent, so `present` and `sometimes` hold.
MARKERS = frozenset({"nullable", "present", "sometimes", "bail"})
PATTERN_RULES = frozenset({"regex", "not_regex"})
NUMBER_RULES = frozenset({"numeric", "integer"})
_CANONICAL = {name.replace("_", ""): name for name in (*MARKERS, *checks.CHECKS, *SHORT_NAMES)}


@dataclass(frozen=True)
class Violation:
    """One rule a value does not meet; with `is_unchecked`, one that could not be applied here at all."""

    rule: str
    message: "StrPromise"
    is_unchecked: bool = False


@dataclass(frozen=True)
class Uncheckable:
    """A rule only the panel can judge (or that it, too, would stumble over), and why."""

    rule: Rule
    reason: "StrPromise"


def parse(rules: str) -> RuleSet:
    """The rules of a pipe list in order; empty parts are dropped, unknown names kept.

    As on the panel, "|" separates even inside an expression, unless the list begins with a pattern rule: then
    all of it is that one pattern.
    """
    parts = [rules] if _name(rules) in PATTERN_RULES else rules.split("|")
    return tuple(_rule(part) for part in parts if part.strip())


def violations(rules: RuleSet, value: str | None) -> list[Violation]:
    """Every rule the value breaks, in the list's order; none once `required` has failed.

    Empty text counts as null. Null passes any rule but `required` if the list says `nullable`, and otherwise fails
    most of them. Rules that cannot be applied here are listed too, marked `is_unchecked`.
    """
    subject = Subject(php.trimmed(value or "") or None, is_number=any(rule.name in NUMBER_RULES for rule in rules))
    found: list[Violation] = []
    for rule in _rules_that_run(rules, subject):
        if violation := _violation(rule, subject):
            found.append(violation)
            if rule.name == "required" or _has(rules, "bail"):
                break
    return found


def unknown_rules(rules: RuleSet) -> list[str]:
    """The names of the rules that cannot be applied here: unknown, malformed, or an expression without a twin."""
    return [entry.rule.name for entry in uncheckable(rules)]


def uncheckable(rules: RuleSet) -> tuple[Uncheckable, ...]:
    """The rules that cannot be applied here, each with a sentence why."""
    return tuple(Uncheckable(rule, reason) for rule in rules if (reason := _obstacle(rule)))


def _rule(part: str) -> Rule:
    _written, colon, parameter = part.partition(":")
    name = _name(part)
    if not colon:
        return Rule(name, (), part)
    return Rule(name, (parameter,) if name in PATTERN_RULES else php.comma_list(parameter), part)


def _name(part: str) -> str:
    """The rule's name in snake case however it was written: "notIn", "NOT_IN" and "not-in" are one."""
    written = part.partition(":")[0].strip().lower()
    squashed = "".join(letter for letter in written if letter not in "_- ")
    name = _CANONICAL.get(squashed, written)
    return SHORT_NAMES.get(name, name)


def _has(rules: RuleSet, name: str) -> bool:
    return any(rule.name == name for rule in rules)


def _rules_that_run(rules: RuleSet, subject: Subject) -> RuleSet:
    if subject.value is None and _has(rules, "nullable"):
        return tuple(rule for rule in rules if rule.name == "required")
    return tuple(rule for rule in rules if rule.name not in MARKERS)


def _violation(rule: Rule, subject: Subject) -> Violation | None:
    if reason := _obstacle(rule):
        message = format_lazy(_("The rule “{rule}” cannot be checked here. {reason}"), rule=rule.text, reason=reason)
        return Violation(rule.name, message, is_unchecked=True)
    if checks.CHECKS[rule.name](subject, rule.parameters):
        return None
    return Violation(rule.name, sentences.sentence(rule, subject))


def _obstacle(rule: Rule) -> "StrPromise | None":
    """Why the rule cannot be applied here, if so."""
    if rule.name in MARKERS:
        return None
    if rule.name not in checks.CHECKS:
        return _("It is not known.")
    if len(rule.parameters) < checks.PARAMETER_COUNTS.get(rule.name, 0):
        return _("It lacks a parameter.")
    return _parameter_obstacle(rule)


def _parameter_obstacle(rule: Rule) -> "StrPromise | None":
    counted = rule.parameters[: checks.PARAMETER_COUNTS.get(rule.name, 0)]
    is_readable: Callable[[str], bool] | None = checks.PARAMETER_KINDS.get(rule.name)
    if is_readable and not all(is_readable(parameter) for parameter in counted):
        return _("Its parameter is not a number.")
    if rule.name not in PATTERN_RULES:
        return None
    try:
        preg.translate(rule.parameters[0])
    except preg.Untranslatable as refusal:
        return refusal.reason
    return None
