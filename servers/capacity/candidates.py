"""The candidates for a new server: region × blueprint × node, in what order, and why the others were refused."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, CharField, F, OuterRef, QuerySet, Value, When
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from servers import builds
from servers.capacity.availability import FOR_SALE, Refusal, Size
from servers.models import FREE, Allocation, Blueprint, Node, Placement, Region

MAX_NAMES = 5


@dataclass
class Candidate:
    """A node with what is left of it. `reason` is why it is not for sale, empty where it is."""

    pk: UUID
    provider_id: UUID
    name: str
    reason: str
    is_elastic: bool
    free_memory_mib: int
    free_disk_mib: int
    free_servers: int | None  # None: no limit
    free_ports: int  # as far as they were counted
    tags: frozenset[str]
    is_busy: bool
    placement: str

    def refusal(self, blueprint: Blueprint, size: Size) -> Refusal | None:
        """Why it does not take a server of this size, built by the blueprint."""
        if self.reason:
            return Refusal(self.reason)
        if not set(blueprint.required_tags.split()) <= self.tags:
            return Refusal.TAGS
        if not self.is_elastic and self.free_memory_mib < size.memory_mib:
            return Refusal.MEMORY
        if not self.is_elastic and self.free_disk_mib < size.disk_mib:
            return Refusal.DISK
        if self.free_servers is not None and self.free_servers < 1:
            return Refusal.SERVERS
        return Refusal.PORTS if self.free_ports < size.ports else None

    def take(self, size: Size) -> None:
        """Count down what one more server takes, for who places several in thought."""
        self.free_memory_mib -= size.memory_mib
        self.free_disk_mib -= size.disk_mib
        self.free_ports -= size.ports
        if self.free_servers is not None:
            self.free_servers -= 1

    def order(self, blueprint: Blueprint) -> tuple[Any, ...]:
        """The first in this order is tried first: by the blueprint's position, nodes that are busy last, those with
        most preferred tags first, then the fullest first, so that large servers still find a node; or the emptiest.
        """
        missing = len(set(blueprint.preferred_tags.split()) - self.tags)
        sign = -1 if self.placement == Placement.SPREAD else 1
        free = (sign * self.free_memory_mib, sign * self.free_disk_mib)
        return (blueprint.position, self.is_busy, missing, *free, self.pk)


@dataclass(frozen=True)
class Candidates:
    """The nodes that can take a server now, the first to try first, with the blueprint for each; and the others."""

    blueprints: Mapping[UUID, Blueprint]
    refused: Sequence[dict[str, Any]]
    taken: Mapping[UUID, Candidate]

    def choice(self, node_id: UUID) -> str:
        """Why this node, in a sentence for the provisioning log."""
        node, blueprint = self.taken[node_id], self.blueprints[node_id]
        others, refused = len(self.taken) - 1, sum(entry["count"] for entry in self.refused)
        counted: Counter[str] = Counter()
        for entry in self.refused:
            counted[str(Refusal(entry["reason"]).label)] += entry["count"]
        sentences = [_("Node %(node)s of %(count)s.") % {"node": node.name, "count": 1 + others + refused}]
        if refused:
            reasons = ", ".join(f"{count} {reason}" for reason, count in counted.items() if count)
            sentences.append(_("Not possible: %(reasons)s.") % {"reasons": reasons})
        if others:
            possible = ngettext("%(count)s other was possible", "%(count)s others were possible", others)
            rule = _("the emptiest comes first") if node.placement == Placement.SPREAD else _("the fullest comes first")
            sentences.append(f"{possible % {'count': others}}; {rule}.")
            busy = sum(each.is_busy for each in self.taken.values())
            if busy:
                text = ngettext("%(count)s is busy and comes last.", "%(count)s are busy and come last.", busy)
                sentences.append(text % {"count": busy})
            if wanted := sorted(set(blueprint.preferred_tags.split()) & node.tags):
                sentences.append(_("It has the preferred tags %(tags)s.") % {"tags": ", ".join(wanted)})
        return " ".join(sentences)[:255]


def read_nodes(nodes: QuerySet[Node], *, max_ports: int) -> list[Candidate]:
    """The nodes with what is left of them; of free ports no more than `max_ports` are counted."""
    free = Allocation.objects.filter(FREE, node=OuterRef("pk")).order_by("port").values("pk")[:max_ports]
    rows: QuerySet[Any] = nodes.annotate(
        reason=Case(
            *(When(~condition, then=Value(reason)) for reason, condition in FOR_SALE.items()),
            default=Value(""),
            output_field=CharField(),
        ),
        placement=F("provider__placement"),
    )
    if max_ports:
        rows = rows.annotate(ports=ArraySubquery(free))
    return [
        Candidate(
            pk=node.pk,
            provider_id=node.provider_id,
            name=node.name,
            reason=node.reason,
            is_elastic=node.is_elastic,
            free_memory_mib=node.memory_sellable_mib - node.memory_reserved_mib,
            free_disk_mib=node.disk_sellable_mib - node.disk_reserved_mib,
            free_servers=None if node.max_servers is None else node.max_servers - node.servers_reserved,
            free_ports=len(node.ports) if max_ports else 0,
            tags=frozenset(node.tags.split()),
            is_busy=node.busy_at is not None,
            placement=node.placement,
        )
        for node in rows.order_by("name", "pk")
    ]


def candidates(
    *, blueprints: Sequence[Blueprint], region: Region, size: Size, addons: Collection[str] = ()
) -> Candidates:
    """Which nodes of the region can take a server of this size, with add-ons of these kinds, built by one of the
    blueprints, each of a provider of its own; in the order of `Candidate.order`.
    """
    providers = [blueprint.provider_id for blueprint in blueprints]
    nodes = Node.objects.filter(location__region=region, provider_id__in=providers)
    return among(
        read_nodes(nodes, max_ports=size.ports), blueprints=blueprints, region=region, size=size, addons=addons
    )


def among(
    nodes: Sequence[Candidate],
    *,
    blueprints: Sequence[Blueprint],
    region: Region,
    size: Size,
    addons: Collection[str] = (),
) -> Candidates:
    """See `candidates`, of nodes of the region that were read."""
    refused = []
    usable: dict[UUID, Blueprint] = {}
    for blueprint in blueprints:
        if not builds.can_build(blueprint, ports=size.ports, addons=addons):
            refused.append(refusal(blueprint, Refusal.CANNOT_BUILD))
        elif not blueprint.is_for(region.pk):
            refused.append(refusal(blueprint, Refusal.OTHER_REGIONS))
        else:
            usable[blueprint.provider_id] = blueprint
    found: list[Candidate] = []
    names: dict[tuple[UUID, str], list[str]] = defaultdict(list)
    for node in (each for each in nodes if each.provider_id in usable):
        reason = node.refusal(usable[node.provider_id], size)
        names[node.provider_id, reason or ""].append(node.name)
        if reason is None:
            found.append(node)
    for (provider_id, why), refused_names in names.items():
        if why:
            refused.append(refusal(usable[provider_id], Refusal(why), refused_names))
    with_nodes = {provider_id for provider_id, _reason in names}
    without = [blueprint for provider_id, blueprint in usable.items() if provider_id not in with_nodes]
    refused += [refusal(blueprint, Refusal.NO_NODE) for blueprint in without]
    found.sort(key=lambda node: node.order(usable[node.provider_id]))
    by_node = {node.pk: usable[node.provider_id] for node in found}
    return Candidates(by_node, refused, {node.pk: node for node in found})


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
