"""The environment a server is created with: the egg's defaults, the blueprint's settings, the customer's choices."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from django.utils.translation import gettext_lazy as _

from . import php, rules

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

UNKNOWN_VARIABLE = "unknown_variable"
NOT_EDITABLE = "not_editable"


class Variable(Protocol):
    """What is needed of an egg's variable, stored or freshly read."""

    @property
    def env_variable(self) -> str: ...
    @property
    def default_value(self) -> str: ...
    @property
    def is_user_viewable(self) -> bool: ...
    @property
    def is_user_editable(self) -> bool: ...
    @property
    def rules(self) -> str: ...


@dataclass(frozen=True)
class Problem:
    """What stands against one variable: the panel rule it breaks, or one of this module's own two.

    With `is_unchecked`, nothing is known to be wrong: the rule could not be applied here.
    """

    env_variable: str
    rule: str
    message: "StrPromise"
    is_unchecked: bool = False


@dataclass(frozen=True)
class Environment:
    """Every variable of the egg as text, as `POST /servers` wants it, and what the panel would object to."""

    values: dict[str, str]
    problems: list[Problem]

    @property
    def is_acceptable(self) -> bool:
        """Whether nothing is known that would make the panel refuse it."""
        return all(problem.is_unchecked for problem in self.problems)


def merge(
    variables: Iterable[Variable], overrides: Mapping[str, str], customer: Mapping[str, str] | None = None
) -> Environment:
    """The egg's defaults, replaced by the blueprint's `overrides`, replaced by what the `customer` may and did set.

    A value given as empty text stays empty: it unsets a default. Of variables sharing a name the last one counts, as
    on the panel. Names the egg lacks, and values a customer may not set, are refused by name and left out.
    """
    known = {variable.env_variable: variable for variable in variables}
    refusals = list(_refusals(known, customer or {}))
    refused = {problem.env_variable for problem in refusals}
    allowed = {name: value for name, value in (customer or {}).items() if name not in refused}
    values = {
        name: php.trimmed(allowed.get(name, overrides.get(name, variable.default_value)))
        for name, variable in known.items()
    }
    return Environment(values, [*_unknown(known, overrides), *refusals, *_violations(known, values)])


def _unknown(known: Mapping[str, Variable], given: Mapping[str, str]) -> Iterator[Problem]:
    for name in given:
        if name not in known:
            yield Problem(name, UNKNOWN_VARIABLE, _("The game has no such setting."))


def _refusals(known: Mapping[str, Variable], customer: Mapping[str, str]) -> Iterator[Problem]:
    """The panel lets users set only what they may both see and edit; so do we."""
    yield from _unknown(known, customer)
    for name in customer:
        if name in known and not (known[name].is_user_viewable and known[name].is_user_editable):
            yield Problem(name, NOT_EDITABLE, _("This setting cannot be changed by customers."))


def _violations(known: Mapping[str, Variable], values: Mapping[str, str]) -> Iterator[Problem]:
    for name, variable in known.items():
        for violation in rules.violations(rules.parse(variable.rules), values[name]):
            yield Problem(name, violation.rule, violation.message, violation.is_unchecked)
