"""Which nodes have free capacity: reads for checkout and for pages."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, TextChoices
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from core import tenancy
from servers.models import FREE, Allocation, Blueprint, Location, Node, Provider


@dataclass(frozen=True)
class Size:
    """What one server takes of a node. Memory and disk in MiB, cpu in percent of one core; clouds have no ports."""

    memory_mib: int
    disk_mib: int
    cpu_percent: int
    ports: int = 1

    def __post_init__(self) -> None:
        """Refuse a size that would add capacity instead of taking it."""
        if min(self.memory_mib, self.disk_mib) < 1 or min(self.ports, self.cpu_percent) < 0:
            raise ValueError("a server takes some memory and some disk, and never gives ports")


class Refusal(TextChoices):
    """Why a node, or a blueprint with all nodes of its provider, does not take a server."""

    CANNOT_BUILD = "cannot_build", _("such a server cannot be built from it")
    OTHER_REGIONS = "other_regions", _("the blueprint is for other regions")
    NO_NODE = "no_node", _("the provider has no node in the region")
    PROVIDER = "provider", _("the provider is inactive")
    SUSPECTED = "suspected", _("its provider misses many servers")
    LOCATION = "location", _("the location is inactive or no longer on the panel")
    REGION = "region", _("the region is inactive")
    ABSENT = "absent", _("no longer on the panel")
    DISABLED = "disabled", _("not enabled")
    DRAINING = "draining", _("draining")
    MAINTENANCE = "maintenance", _("in maintenance")
    MEMORY = "memory", _("not enough memory")
    DISK = "disk", _("not enough disk")
    SERVERS = "servers", _("as many servers as it may have")
    PORTS = "ports", _("not enough free ports")
    TAGS = "tags", _("without the tags that the blueprint requires")


# What a node must be to be sold, full or not, and the reason where it is not. Provider, location and region are
# sub-selects rather than joins, so that an UPDATE may be filtered by them: PostgreSQL checks an UPDATE's own conditions
# again after waiting for a row lock, but not those of a join.
FOR_SALE = {
    Refusal.PROVIDER: Q(provider_id__in=Provider.objects.filter(is_active=True).values("pk")),
    Refusal.SUSPECTED: Q(provider_id__in=Provider.objects.filter(suspected_at=None).values("pk")),
    Refusal.LOCATION: Q(location_id__in=Location.objects.filter(is_active=True, is_present=True).values("pk")),
    Refusal.REGION: Q(location_id__in=Location.objects.filter(region__is_active=True).values("pk")),
    Refusal.ABSENT: Q(is_present=True),
    Refusal.DISABLED: Q(is_enabled=True),
    Refusal.DRAINING: Q(is_draining=False),
    Refusal.MAINTENANCE: Q(is_in_maintenance=False),
}
HAS_PLACE = Q(max_servers=None) | Q(servers_reserved__lt=F("max_servers"))


def placeable(nodes: QuerySet[Node]) -> QuerySet[Node]:
    """Those of the nodes that may be sold, full or not. Evaluate it as the worker: customers may not read providers."""
    return nodes.filter(*FOR_SALE.values())


def with_capacity(size: Size) -> dict[Refusal, Q]:
    """What a node must have left for one more server, and the reason where it has not; elastic ones have every size.

    `Candidate.refusal` says the same of a node that was read.
    """
    memory = Q(memory_sellable_mib__gte=F("memory_reserved_mib") + size.memory_mib)
    disk = Q(disk_sellable_mib__gte=F("disk_reserved_mib") + size.disk_mib)
    return {
        Refusal.MEMORY: Q(is_elastic=True) | memory,
        Refusal.DISK: Q(is_elastic=True) | disk,
        Refusal.SERVERS: HAS_PLACE,
    }


def availability[Key: Hashable](
    *, sizes: Mapping[Key, Size], blueprints: Mapping[Key, Sequence[Blueprint]]
) -> dict[UUID, set[Key]]:
    """For each region, which of the sizes fit there now, built by one of the blueprints of their key. One query."""
    free = Allocation.objects.filter(FREE, node=OuterRef("pk")).order_by().values("node")
    free_ports = Coalesce(Subquery(free.annotate(count=Count("pk")).values("count")), 0)
    by_provider: dict[UUID, list[tuple[Key, Blueprint]]] = defaultdict(list)
    for key, usable in blueprints.items():
        for blueprint in usable:
            by_provider[blueprint.provider_id].append((key, blueprint))
    fitting: dict[UUID, set[Key]] = defaultdict(set)
    with tenancy.as_worker_without_row():
        nodes = placeable(Node.objects.filter(HAS_PLACE, provider_id__in=by_provider)).annotate(
            free_ports=free_ports,
            free_memory_mib=F("memory_sellable_mib") - F("memory_reserved_mib"),
            free_disk_mib=F("disk_sellable_mib") - F("disk_reserved_mib"),
        )
        for region_id, provider_id, is_elastic, memory_mib, disk_mib, ports, tags in nodes.values_list(
            "location__region_id", "provider_id", "is_elastic", "free_memory_mib", "free_disk_mib", "free_ports", "tags"
        ):
            fitting[region_id] |= {
                key
                for key, blueprint in by_provider[provider_id]
                if blueprint.is_for(region_id)
                and set(blueprint.required_tags.split()) <= set(tags.split())
                and (size := sizes[key]).ports <= ports
                and (is_elastic or (size.memory_mib <= memory_mib and size.disk_mib <= disk_mib))
            }
    return dict(fitting)
