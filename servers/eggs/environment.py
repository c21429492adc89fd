"""The environment that a server is created with: the egg's defaults, the blueprint's values, the customer's choices."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from servers.eggs import rules
from servers.models import EggVariable

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

UNKNOWN_VARIABLE = "unknown_variable"
NOT_EDITABLE = "not_editable"


@dataclass(frozen=True)
class Problem:
    """What is wrong with one variable: the rule it breaks, or one of this module's own two."""

    env_variable: str
    rule: str
    message: "StrPromise"


@dataclass(frozen=True)
class Environment:
    """Every variable of the egg as text, as the panel wants it, and what is wrong with them."""

    values: dict[str, str]
    problems: list[Problem]


def merge(
    variables: Iterable[EggVariable], overrides: Mapping[str, str], chosen: Mapping[str, str] | None = None
) -> Environment:
    """The egg's defaults, replaced by the blueprint's `overrides`, replaced by what the customer chose and may choose.

    Empty text replaces a default too. Of variables with the same name the last one counts, as on the panel. Names that
    the egg does not have, and values that a customer may not set, are problems and left out.
    """
    known = {variable.env_variable: variable for variable in variables}
    allowed: dict[str, str] = {}
    unknown = [name for name in overrides if name not in known]
    problems: list[Problem] = []
    for name, value in (chosen or {}).items():
        if name not in known:
            unknown.append(name)
        elif known[name].is_user_viewable and known[name].is_user_editable:
            allowed[name] = value
        else:  # as on the panel, users may set only what they may both see and edit
            problems.append(Problem(name, NOT_EDITABLE, _("Customers cannot change this setting.")))
    problems += [Problem(name, UNKNOWN_VARIABLE, _("The game has no such setting.")) for name in unknown]
    values = {
        name: allowed.get(name, overrides.get(name, variable.default_value)).strip() for name, variable in known.items()
    }
    for name, variable in known.items():
        broken = rules.violations(variable.rules, values[name])
        problems += [Problem(name, violation.rule, violation.message) for violation in broken]
    return Environment(values, problems)
