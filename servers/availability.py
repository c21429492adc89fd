"""Where there is room: reads for checkout and for pages."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from core import tenancy
from servers.models import Allocation, Blueprint, Location, Node

FREE_PORTS = Count(
    "allocations",
    filter=Q(
        allocations__reservation__isnull=True,
        allocations__is_taken_elsewhere=False,
        allocations__is_present=True,
    ),
)


@dataclass(frozen=True)
class Size:
    """What one server takes. Memory and disk in MiB, cpu in percent of one core."""

    memory_mib: int
    disk_mib: int
    cpu_percent: int
    ports: int = 1

    def __post_init__(self) -> None:
        """Refuse a size that would give room instead of taking it."""
        if min(self.memory_mib, self.disk_mib, self.ports) < 1 or self.cpu_percent < 0:
            raise ValueError("a server takes some memory, some disk and at least one port")


def open_nodes(blueprint: Blueprint) -> QuerySet[Any]:
    """The nodes that new servers of the blueprint may be placed on, full or not, with what is free on each."""
    chosen = Blueprint.locations.through.objects.filter(blueprint_id=blueprint.pk)
    is_chosen = Exists(chosen.filter(location_id=OuterRef("location_id"))) | ~Exists(chosen)
    return Node.objects.filter(
        is_chosen,
        provider_id=blueprint.provider_id,
        provider__is_active=True,
        location__is_active=True,
        location__is_present=True,
        is_enabled=True,
        is_present=True,
        is_draining=False,
        is_in_maintenance=False,
    ).annotate(
        free_memory_mib=F("memory_sellable_mib") - F("memory_reserved_mib"),
        free_disk_mib=F("disk_sellable_mib") - F("disk_reserved_mib"),
    )


def _has_free_ports(count: int) -> Exists:
    """Looks for the node's `count`-th free port in the index of free ones, rather than count them all."""
    free = Allocation.objects.filter(
        node=OuterRef("pk"), reservation__isnull=True, is_taken_elsewhere=False, is_present=True
    )
    return Exists(free.order_by("port")[count - 1 : count])


def nodes_with_room(blueprint: Blueprint, location: Location, size: Size) -> QuerySet[Any]:
    """The location's nodes that the size fits on, the fullest first, so that room for big servers stays together."""
    return (
        open_nodes(blueprint)
        .filter(
            _has_free_ports(size.ports),
            location=location,
            free_memory_mib__gte=size.memory_mib,
            free_disk_mib__gte=size.disk_mib,
        )
        .order_by("free_memory_mib", "free_disk_mib", "pk")
    )


def availability[Key: Hashable](*, blueprint: Blueprint, sizes: Mapping[Key, Size]) -> dict[UUID, set[Key]]:
    """For each location that could take the blueprint, which of the sizes fit now. One query."""
    fitting: dict[UUID, set[Key]] = defaultdict(set)
    with tenancy.as_worker():
        counted = open_nodes(blueprint).annotate(free_ports=FREE_PORTS)
        nodes = list(counted.values_list("location_id", "free_memory_mib", "free_disk_mib", "free_ports"))
    for location_id, memory_mib, disk_mib, ports in nodes:
        fitting[location_id] |= {
            key
            for key, size in sizes.items()
            if size.memory_mib <= memory_mib and size.disk_mib <= disk_mib and size.ports <= ports
        }
    return dict(fitting)
