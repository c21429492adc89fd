"""The candidates for a new server: region × blueprint × node, and why those that are not taken were refused."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Case, CharField, Exists, F, OuterRef, Q, Value, When

from servers import builds
from servers.capacity.availability import FOR_SALE, Refusal, Size, with_capacity
from servers.models import FREE, Allocation, Blueprint, Node, Region

# What is free of a node, for ordering.
FREE_SIZE = (F("memory_sellable_mib") - F("memory_reserved_mib"), F("disk_sellable_mib") - F("disk_reserved_mib"))
MAX_NAMES = 5


@dataclass(frozen=True)
class Candidates:
    """The nodes that can take a server now, the first to try first, with the blueprint for each; and the others."""

    blueprints: Mapping[UUID, Blueprint]
    refused: Sequence[dict[str, Any]]


def candidates(
    *, blueprints: Sequence[Blueprint], region: Region, size: Size, addons: Collection[str] = ()
) -> Candidates:
    """Which nodes of the region can take a server of this size, with add-ons of these kinds, built by one of the
    blueprints, each of a provider of its own. By the blueprints' position, then the fullest first, so that large
    servers still find a node.
    """
    refused = []
    usable: dict[UUID, Blueprint] = {}
    for blueprint in blueprints:
        if not builds.can_build(blueprint, ports=size.ports, addons=addons):
            refused.append(refusal(blueprint, Refusal.CANNOT_BUILD))
        elif not blueprint.is_for(region.pk):
            refused.append(refusal(blueprint, Refusal.OTHER_REGIONS))
        else:
            usable[blueprint.provider_id] = blueprint
    # Whether there is an n-th free port is quicker to answer from the index than how many there are.
    free = Allocation.objects.filter(FREE, node=OuterRef("pk")).order_by("port")
    needed = {**FOR_SALE, **with_capacity(size)}
    if size.ports:
        needed[Refusal.PORTS] = Q(Exists(free[size.ports - 1 : size.ports]))
    nodes = Node.objects.filter(location__region=region, provider_id__in=usable).annotate(
        reason=Case(
            *(When(~condition, then=Value(reason)) for reason, condition in needed.items()),
            default=Value(""),
            output_field=CharField(),
        )
    )
    found: dict[UUID, Blueprint] = {}
    names: dict[tuple[UUID, str], list[str]] = defaultdict(list)
    rows = nodes.order_by(*FREE_SIZE, "pk").values_list("pk", "provider_id", "name", "reason")
    for node_id, provider_id, name, reason in sorted(rows, key=lambda row: usable[row[1]].position):
        names[provider_id, reason].append(name)
        if not reason:
            found[node_id] = usable[provider_id]
    for (provider_id, reason), refused_names in names.items():
        if reason:
            refused.append(refusal(usable[provider_id], Refusal(reason), refused_names))
    with_nodes = {provider_id for provider_id, _reason in names}
    without = [blueprint for provider_id, blueprint in usable.items() if provider_id not in with_nodes]
    refused += [refusal(blueprint, Refusal.NO_NODE) for blueprint in without]
    return Candidates(found, refused)


def refusal(blueprint: Blueprint, reason: Refusal, nodes: Sequence[str] = ()) -> dict[str, Any]:
    """A blueprint, with the number and the first names of its nodes that are refused for one reason."""
    return {"blueprint": blueprint.name, "reason": reason, "count": len(nodes), "nodes": list(nodes[:MAX_NAMES])}


def describe(refused: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for staff about each entry of `Candidates.refused`, also where it comes from a stored reservation."""
    lines = []
    for entry in refused:
        nodes = ", ".join(entry["nodes"]) + (" …" if entry["count"] > len(entry["nodes"]) else "")
        subject = ": ".join(filter(None, [entry["blueprint"], nodes]))
        lines.append(f"{subject} – {Refusal(entry['reason']).label}")
    return lines
