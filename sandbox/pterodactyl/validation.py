"""A validator in the manner of the panel's framework: rule lines, dotted fields, one complaint per failed rule."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sandbox.pterodactyl.checks import CHECKS, Rule, is_filled
from sandbox.pterodactyl.errors import Complaint, Invalid

MISSING = object()
IMPLICIT = {"required", "present", "required_with", "required_without"}
ALIASES = {"int": "integer", "bool": "boolean", "notregex": "not_regex", "alphadash": "alpha_dash"}


@dataclass(frozen=True, slots=True)
class Custom:
    """A rule that needs the panel's records, such as ``unique`` or ``exists``."""

    name: str
    passes: Callable[[object], bool]


type RuleLine = str | Sequence[str | Custom]


def parse(line: str) -> list[Rule]:
    """Split a pipe line into rules; empty parts vanish, and any letter case does."""
    return [rule for part in line.split("|") if (rule := parse_one(part)) is not None]


def parse_one(part: str) -> Rule | None:
    """Parse ``name:parameter,parameter``; None for an empty part."""
    name, colon, rest = part.strip().partition(":")
    if not name:
        return None
    name = ALIASES.get(name.lower(), name.lower())
    if not colon:
        return Rule(name)
    if name in {"regex", "not_regex"}:
        return Rule(name, (rest,))
    return Rule(name, tuple(next(csv.reader([rest]), [])) or ("",))


def parse_line(line: RuleLine) -> list[Rule | Custom]:
    """Parse a pipe string, or a list that mixes rule strings and custom rules."""
    if isinstance(line, str):
        return list(parse(line))
    parsed = (part if isinstance(part, Custom) else parse_one(part) for part in line)
    return [rule for rule in parsed if rule is not None]


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
    keys: Iterable[object] = (
        items if isinstance(items, Mapping) else range(len(items)) if isinstance(items, list) else ()
    )
    return [f"{head}.{key}{tail}" for key in keys]


def passes(fields: object, path: str, rule: Rule | Custom, names: set[str]) -> bool:
    """Whether the field at ``path`` meets one rule; rules that do not apply count as met."""
    value = look_up(fields, path)
    if rule.name == "present":
        return value is not MISSING
    if rule.name == "required_with":
        others = (look_up(fields, other) for other in (rule.parameters if isinstance(rule, Rule) else ()))
        return not any(other is not MISSING and is_filled(other) for other in others) or _is_given(value)
    if rule.name == "required_without":
        others = (look_up(fields, other) for other in (rule.parameters if isinstance(rule, Rule) else ()))
        return all(other is not MISSING and is_filled(other) for other in others) or _is_given(value)
    if rule.name == "required":
        return _is_given(value)
    if value is MISSING or (value is None and "nullable" in names) or (isinstance(value, str) and not value.strip()):
        return True
    if isinstance(rule, Custom):
        return rule.passes(value)
    check = CHECKS.get(rule.name)
    return check is None or check(value, rule, bool(names & {"numeric", "integer"}))


def _is_given(value: object) -> bool:
    """Sent, and neither null, blank nor empty."""
    return value is not MISSING and is_filled(value)


def complaints_about(fields: object, path: str, line: RuleLine) -> list[Complaint]:
    """Every rule that the field fails, up to and including a failed ``required``."""
    rules = parse_line(line)
    names = {rule.name for rule in rules}
    if "sometimes" in names and look_up(fields, path) is MISSING:
        return []
    found = []
    for rule in rules:
        if passes(fields, path, rule, names):
            continue
        found.append(Complaint(field=path, rule=rule.name))
        if rule.name in IMPLICIT:
            break
    return found


def complaints(fields: object, rules: Mapping[str, RuleLine]) -> list[Complaint]:
    """Every failed rule of every field, in the order of the rules."""
    return [
        complaint
        for path, line in rules.items()
        for each in expand(path, fields)
        for complaint in complaints_about(fields, each, line)
    ]


def validate(fields: object, rules: Mapping[str, RuleLine]) -> None:
    """Answer 422 with one element per failed rule.

    Raises Invalid.
    """
    found = complaints(fields, rules)
    if found:
        raise Invalid(found)


def validate_environment(environment: Mapping[str, object], variables: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Check each egg variable (name, rules) with its own rules; names the egg lacks are dropped, missing ones are "".

    Raises Invalid with fields named ``environment.X``.
    """
    lines = dict(variables)
    values = {name: None if environment.get(name) == "" else environment.get(name) for name in lines}
    validate({"environment": values}, {f"environment.{name}": line for name, line in lines.items()})
    return {name: "" if value is None else _stored(value) for name, value in values.items()}


def _stored(value: object) -> str:
    """The text a variable is kept as."""
    return "1" if value is True else "0" if value is False else str(value)
