"""A validator like the panel's framework has: lines of rules, dotted fields, one error per failed rule."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sandbox.pterodactyl.checks import CHECKS, Rule, is_filled
from sandbox.pterodactyl.errors import FailedRule, ValidationError

MISSING = object()
REQUIRING = {"required", "present", "required_with", "required_without"}
ALIASES = {"int": "integer", "bool": "boolean", "notregex": "not_regex", "alphadash": "alpha_dash"}


@dataclass(frozen=True, slots=True)
class Custom:
    """A rule that needs the panel's rows, such as ``unique`` or ``exists``."""

    name: str
    passes: Callable[[object], bool]


type RuleLine = str | Sequence[str | Custom]


def parse_line(line: RuleLine) -> list[Rule | Custom]:
    """Parse ``rule|rule:parameter,parameter``, or a list of rules; empty parts and letter case do not count."""
    rules: list[Rule | Custom] = []
    for part in line.split("|") if isinstance(line, str) else line:
        if isinstance(part, Custom):
            rules.append(part)
            continue
        name, colon, rest = part.strip().partition(":")
        name = ALIASES.get(name.lower(), name.lower())
        if not colon or name in {"regex", "not_regex"}:
            parameters: tuple[str, ...] = (rest,)
        else:
            parameters = tuple(next(csv.reader([rest]), [])) or ("",)
        if name:
            rules.append(Rule(name, parameters))
    return rules


def look_up(fields: object, path: str) -> object:
    """The value at a dotted path, or MISSING."""
    for part in path.split("."):
        if isinstance(fields, Mapping) and part in fields:
            fields = fields[part]
        elif isinstance(fields, list) and part.isdecimal() and int(part) < len(fields):
            fields = fields[int(part)]
        else:
            return MISSING
    return fields


def expand(path: str, fields: object) -> Iterable[str]:
    """Replace the ``*`` of a path by the indexes that were sent."""
    if ".*" not in path:
        return [path]
    head, tail = path.split(".*", 1)
    items = look_up(fields, head)
    keys: Iterable[object] = ()
    if isinstance(items, Mapping | list):
        keys = items if isinstance(items, Mapping) else range(len(items))
    return [f"{head}.{key}{tail}" for key in keys]


def passes(fields: object, path: str, rule: Rule | Custom, names: set[str]) -> bool:
    """Whether the field at ``path`` passes one rule of its line; rules that do not apply are passed."""

    def is_given(path: str) -> bool:
        value = look_up(fields, path)
        return value is not MISSING and is_filled(value)

    value = look_up(fields, path)
    if isinstance(rule, Rule) and rule.name in REQUIRING:
        if rule.name == "present":
            return value is not MISSING
        others = [is_given(other) for other in rule.parameters]
        is_excused = (rule.name == "required_with" and not any(others)) or (
            rule.name == "required_without" and all(others)
        )
        return is_excused or is_given(path)
    if value is MISSING or (value is None and "nullable" in names) or (isinstance(value, str) and not value.strip()):
        return True
    if isinstance(rule, Custom):
        return rule.passes(value)
    check = CHECKS.get(rule.name)
    return check is None or check(value, rule, bool(names & {"numeric", "integer"}))


def failed_rules(fields: object, path: str, line: RuleLine) -> list[FailedRule]:
    """The rules that the field fails, up to and including a failed ``required``."""
    rules = parse_line(line)
    names = {rule.name for rule in rules}
    if "sometimes" in names and look_up(fields, path) is MISSING:
        return []
    failed = []
    for rule in rules:
        if not passes(fields, path, rule, names):
            failed.append(FailedRule(field=path, rule=rule.name))
            if rule.name in REQUIRING:
                break
    return failed


def validate(fields: object, rules: Mapping[str, RuleLine]) -> None:
    """Check every field against its rules, in the order of the rules.

    Raises ValidationError.
    """
    failed = [
        each for path, line in rules.items() for one in expand(path, fields) for each in failed_rules(fields, one, line)
    ]
    if failed:
        raise ValidationError(failed)


def validate_environment(environment: Mapping[str, object], variables: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Check each egg variable (name, rules) with its own rules and return the values to store.

    Names that the egg lacks are dropped, missing ones are "". Raises ValidationError with fields ``environment.X``.
    """
    lines = dict(variables)
    values = {name: None if environment.get(name) == "" else environment.get(name) for name in lines}
    validate({"environment": values}, {f"environment.{name}": line for name, line in lines.items()})
    return {
        name: "" if value is None else str(int(value) if isinstance(value, bool) else value)
        for name, value in values.items()
    }
