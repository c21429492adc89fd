"""One variable of an exported egg."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from . import rules as rule_lists
from .fields import Fields

# What the panel accepts as a name, and the names it gives every container itself.
ENV_VARIABLE = re.compile(r"\w{1,191}", re.ASCII)
RESERVED = frozenset(
    {"SERVER_MEMORY", "SERVER_IP", "SERVER_PORT", "ENV", "HOME", "USER", "STARTUP", "SERVER_UUID", "UUID"}
)


@dataclass(frozen=True)
class EggFileVariable:
    """A setting of the game: where it goes, what it is unless set, who may touch it, and the rules it must meet."""

    name: str
    description: str
    env_variable: str
    default_value: str
    is_user_viewable: bool
    is_user_editable: bool
    rules: str


def variable_from(fields: Fields) -> EggFileVariable:
    """The variable an exported object describes. Raises EggInvalid, above all if the panel could not store it."""
    env_variable = fields.required_text("env_variable")
    if not ENV_VARIABLE.fullmatch(env_variable):
        raise fields.invalid("env_variable", _("it may hold only letters, digits and underscores, 191 at most"))
    return EggFileVariable(
        name=fields.text("name").strip() or env_variable,
        description=fields.text("description"),
        env_variable=env_variable,
        default_value=fields.scalar_text("default_value"),
        is_user_viewable=fields.flag("user_viewable"),
        is_user_editable=fields.flag("user_editable"),
        rules=fields.text("rules"),
    )


def oddities_of(variable: EggFileVariable) -> Iterator[str]:
    """Sentences on what is strange about a variable: a reserved name, unusable rules, a default its rules refuse."""
    name = variable.env_variable
    if name in RESERVED:
        yield _("{name} is a name the panel keeps for itself.").format(name=name)
    rules = rule_lists.parse(variable.rules)
    for entry in rule_lists.uncheckable(rules):
        yield _("{name}: the rule “{rule}” cannot be checked here. {reason}").format(
            name=name, rule=entry.rule.text, reason=entry.reason
        )
    if any(not violation.is_unchecked for violation in rule_lists.violations(rules, variable.default_value)):
        yield _("{name}: its default does not meet its own rules ({rules}).").format(name=name, rules=variable.rules)
