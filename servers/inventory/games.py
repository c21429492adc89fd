"""Nests, eggs and their variables: merged, and what is odd about them told."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.backends.postgresql.psycopg_any import Jsonb
from django.utils.translation import gettext as _

from servers.drivers.base import Inventory, RemoteEgg, RemoteEggVariable
from servers.eggs import rules
from servers.inventory import tables
from servers.inventory.mirror import merge
from servers.inventory.places import Counts, Finding, ids_by_ref
from servers.models import Egg, Nest


def merge_games(provider_id: UUID, seen: Inventory) -> tuple[Counts, list[Finding]]:
    """Merge nests, eggs and variables. Of variables sharing a name in one egg the last one counts, as on the panel."""
    rows: Any = [(provider_id, nest.ref, nest.name, nest.author, nest.description) for nest in seen.nests]
    counts = {"nests": merge(tables.NEST, rows, scope=provider_id)}
    nests = ids_by_ref(Nest.objects.filter(provider_id=provider_id))
    rows = [_egg_row(nests[egg.nest_ref], egg) for egg in seen.eggs]
    counts["eggs"] = merge(tables.EGG, rows, scope=list(nests.values()))
    eggs = ids_by_ref(Egg.objects.filter(nest__provider_id=provider_id))
    rows = [
        _variable_row(eggs[egg.ref], position, each) for egg in seen.eggs for position, each in enumerate(egg.variables)
    ]
    counts["variables"] = merge(tables.VARIABLE, rows, scope=list(eggs.values()))
    return counts, [finding for egg in seen.eggs for finding in _findings(egg)]


def _egg_row(nest_id: UUID, egg: RemoteEgg) -> tuple[Any, ...]:
    images = Jsonb(dict(egg.docker_images))
    return (nest_id, egg.ref, egg.name, egg.author, egg.description, images, egg.first_image, egg.startup)


def _variable_row(egg_id: UUID, position: int, variable: RemoteEggVariable) -> tuple[Any, ...]:
    return (
        egg_id,
        variable.env_variable,
        variable.ref,
        variable.name,
        variable.description,
        variable.default_value,
        variable.is_user_viewable,
        variable.is_user_editable,
        variable.rules,
        position,
    )


def _findings(egg: RemoteEgg) -> Iterator[Finding]:
    names = Counter(variable.env_variable for variable in egg.variables)
    for name, count in names.items():
        if count > 1:
            note = _("Several variables are stored under {name}; the last one counts.").format(name=name)
            yield {"kind": "repeated_variable", "subject": egg.name, "note": note}
    for variable in egg.variables:
        yield from _rule_findings(egg, variable)


def _rule_findings(egg: RemoteEgg, variable: RemoteEggVariable) -> Iterator[Finding]:
    parsed = rules.parse(variable.rules)
    for entry in rules.uncheckable(parsed):
        note = f"{variable.env_variable}: {entry.rule.text}. {entry.reason}"
        yield {"kind": "unknown_rule", "subject": egg.name, "note": note}
    broken = [each for each in rules.violations(parsed, variable.default_value) if not each.is_unchecked]
    if broken:
        note = _("{name} has a default that its own rules refuse ({rules}); the blueprint has to set it.").format(
            name=variable.env_variable, rules=variable.rules
        )
        yield {"kind": "refused_default", "subject": egg.name, "note": note}
