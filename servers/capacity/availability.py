"""Which nodes have free capacity: reads for checkout and for pages."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

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


def placeable(nodes: QuerySet[Node]) -> QuerySet[Node]:
    """Those of the nodes that may be sold, full or not. Evaluate it as the worker: customers may not read providers.

    Provider and location are sub-selects rather than joins, so that an UPDATE may be filtered by it: PostgreSQL checks
    an UPDATE's own conditions again after waiting for a row lock, but not those of a join.
    """
    return nodes.filter(
        is_enabled=True,
        is_present=True,
        is_draining=False,
        is_in_maintenance=False,
        provider_id__in=Provider.objects.filter(is_active=True).values("pk"),
        location_id__in=Location.objects.filter(is_active=True, is_present=True).values("pk"),
    )


def with_capacity(size: Size) -> Q:
    """The nodes that have the memory, the disk and a place for one more server. An elastic node has every size."""
    has_size = Q(
        memory_sellable_mib__gte=F("memory_reserved_mib") + size.memory_mib,
        disk_sellable_mib__gte=F("disk_reserved_mib") + size.disk_mib,
    )
    return (Q(is_elastic=True) | has_size) & has_place()


def has_place() -> Q:
    """The nodes that may have one more server."""
    return Q(max_servers=None) | Q(servers_reserved__lt=F("max_servers"))


def nodes_for(blueprint: Blueprint) -> QuerySet[Any]:
    """The nodes that new servers of the blueprint may be placed on, full or not, with the free memory and disk."""
    chosen = Blueprint.locations.through.objects.filter(blueprint_id=blueprint.pk)
    is_chosen = Exists(chosen.filter(location_id=OuterRef("location_id"))) | ~Exists(chosen)
    return placeable(Node.objects.filter(is_chosen, provider_id=blueprint.provider_id)).annotate(
        free_memory_mib=F("memory_sellable_mib") - F("memory_reserved_mib"),
        free_disk_mib=F("disk_sellable_mib") - F("disk_reserved_mib"),
    )


def nodes_that_fit(blueprint: Blueprint, location: Location, size: Size) -> QuerySet[Any]:
    """The location's nodes that have the capacity, the fullest first, so that large servers still find a node."""
    # Whether there is an n-th free port is quicker to answer from the index than how many there are.
    free = Allocation.objects.filter(FREE, node=OuterRef("pk")).order_by("port")
    nodes = nodes_for(blueprint).filter(with_capacity(size), location=location)
    if size.ports:
        nodes = nodes.filter(Exists(free[size.ports - 1 : size.ports]))
    return nodes.order_by("free_memory_mib", "free_disk_mib", "pk")


def availability[Key: Hashable](*, blueprint: Blueprint, sizes: Mapping[Key, Size]) -> dict[UUID, set[Key]]:
    """For each location where the blueprint may be placed, which of the sizes fit now. One query."""
    free = Allocation.objects.filter(FREE, node=OuterRef("pk")).order_by().values("node")
    free_ports = Coalesce(Subquery(free.annotate(count=Count("pk")).values("count")), 0)
    fitting: dict[UUID, set[Key]] = defaultdict(set)
    with tenancy.as_worker():
        nodes = nodes_for(blueprint).filter(has_place()).annotate(free_ports=free_ports)
        for location_id, is_elastic, memory_mib, disk_mib, ports in nodes.values_list(
            "location_id", "is_elastic", "free_memory_mib", "free_disk_mib", "free_ports"
        ):
            fitting[location_id] |= {
                key
                for key, size in sizes.items()
                if size.ports <= ports and (is_elastic or (size.memory_mib <= memory_mib and size.disk_mib <= disk_mib))
            }
    return dict(fitting)
