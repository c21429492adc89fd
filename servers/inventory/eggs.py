"""Nests, eggs and their variables: merged, and what is odd about them reported."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from django.db.backends.postgresql.psycopg_any import Jsonb
from django.utils.translation import gettext as _

from servers import builds
from servers.drivers.inventory import RemoteEgg
from servers.eggs import rules
from servers.inventory import tables
from servers.inventory.merge import Counts, Finding, ids_by_ref, merge
from servers.inventory.read import RemoteInventory
from servers.models import Egg, Nest


def merge_eggs(provider_id: UUID, remote: RemoteInventory) -> Counts:
    """Merge nests, eggs and variables. Of variables sharing a name in one egg the last one counts, as on the panel."""
    rows: Any = [(provider_id, nest.ref, nest.name, nest.author, nest.description) for nest in remote.nests]
    counts = {"nests": merge(tables.NEST, rows, scope=provider_id)}
    nests = ids_by_ref(Nest.objects.filter(provider_id=provider_id))
    rows = [
        (
            nests[egg.nest_ref],
            egg.ref,
            egg.name,
            egg.author,
            egg.description,
            Jsonb(dict(egg.docker_images)),
            egg.first_image,
            egg.startup,
        )
        for egg in remote.eggs
    ]
    counts["eggs"] = merge(tables.EGG, rows, scope=list(nests.values()))
    eggs = ids_by_ref(Egg.objects.filter(nest__provider_id=provider_id))
    rows = [
        (
            eggs[egg.ref],
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
        for egg in remote.eggs
        for position, variable in enumerate(egg.variables)
    ]
    counts["variables"] = merge(tables.VARIABLE, rows, scope=list(eggs.values()))
    return counts


def blueprint_findings(provider_id: UUID) -> list[Finding]:
    """Blueprints that nothing can be built from any more, or still not. They are not sold."""
    problems = builds.check_blueprints(provider_id)
    return [{"kind": "blueprint", "subject": blueprint.name, "note": blueprint.problem} for blueprint in problems]


def egg_findings(eggs: Iterable[RemoteEgg]) -> Iterator[Finding]:
    """Variables that share a name, and defaults that break their own rules."""
    for egg in eggs:
        names = Counter(variable.env_variable for variable in egg.variables)
        for name, count in names.items():
            if count > 1:
                note = _("Several variables are stored under {name}; the last one counts.").format(name=name)
                yield {"kind": "repeated_variable", "subject": egg.name, "note": note}
        for variable in egg.variables:
            if rules.violations(variable.rules, variable.default_value):
                note = _("{name} has a default that its own rules refuse ({rules}); the blueprint has to set it.")
                note = note.format(name=variable.env_variable, rules=variable.rules)
                yield {"kind": "refused_default", "subject": egg.name, "note": note}
