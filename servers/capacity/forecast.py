"""When a node or a region is full, if its reservations go on as in the last thirty days: a straight line, no more.

What was released counts against what was reserved. Servers that were taken over as they were do not count: they were
there before. Nor does what servers grew by changes of plan.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from servers.capacity.availability import placeable
from servers.models import Node, ProvisioningStep, Region, Reservation, Step

DAYS = 30
LONGEST = 3650  # what is further away is no forecast
KINDS = ("memory", "disk", "servers")


@dataclass(frozen=True)
class Trend:
    """What is free, and what was taken in so many days; MiB, or a number of servers."""

    free: int = 0
    taken: int = 0

    def __add__(self, other: "Trend") -> "Trend":
        return Trend(self.free + other.free, self.taken + other.taken)

    def days_left(self) -> int | None:
        """In how many whole days nothing is free; None where it does not grow, or not within ten years."""
        if self.free <= 0:
            return 0
        days = self.free * DAYS // self.taken if self.taken > 0 else LONGEST + 1
        return days if days <= LONGEST else None


@dataclass(frozen=True)
class Forecast:
    """When the place is full, and of what (`memory`, `disk`, `servers`); None where it does not fill up."""

    place: Node | Region
    growth: dict[str, Trend] = field(default_factory=dict)
    today: date = date.min

    @property
    def first(self) -> tuple[int, str] | None:
        """The days that are left, and what runs out then."""
        left = [(days, kind) for kind, each in self.growth.items() if (days := each.days_left()) is not None]
        return min(left, default=None)

    @property
    def full_on(self) -> date | None:
        """The day."""
        return self.today + timedelta(days=self.first[0]) if self.first else None

    @property
    def kind(self) -> str:
        """What runs out first."""
        return self.first[1] if self.first else ""


def forecasts(*, at: datetime) -> tuple[list[Forecast], list[Forecast]]:
    """Those of the regions and of the nodes that can be sold, the first to be full first. Three queries.

    A region with an elastic node without a limit is never full; one with a limit does not count.
    """
    taken = _net(at)
    regions: dict[Region, dict[str, Trend]] = defaultdict(dict)
    endless: set[Region] = set()
    of_nodes = []
    for node in placeable(Node.objects.select_related("location__region")):
        growth = growth_of(node, taken.get(node.pk, dict.fromkeys(KINDS, 0)))
        of_nodes.append(Forecast(node, growth, at.date()))
        region = node.location.region
        if region is None:
            continue
        if node.is_elastic and node.max_servers is None:  # it takes any number of any size
            endless.add(region)
        for kind in ("memory", "disk") if not node.is_elastic else ():
            regions[region][kind] = regions[region].get(kind, Trend()) + growth[kind]
    of_regions = [Forecast(region, growth, at.date()) for region, growth in regions.items() if region not in endless]
    return by_day(of_regions), by_day(of_nodes)


def by_day(found: list[Forecast]) -> list[Forecast]:
    """The first to be full first; those that do not fill up last."""
    return sorted(found, key=lambda each: (each.full_on or date.max, str(each.place)))


def growth_of(node: Node, taken: dict[str, int]) -> dict[str, Trend]:
    """By what can run out of the node."""
    found = {}
    if not node.is_elastic:
        found["memory"] = Trend(node.memory_sellable_mib - node.memory_reserved_mib, taken["memory"])
        found["disk"] = Trend(node.disk_sellable_mib - node.disk_reserved_mib, taken["disk"])
    if node.max_servers is not None:
        found["servers"] = Trend(node.max_servers - node.servers_reserved, taken["servers"])
    return found


def _net(at: datetime) -> dict[UUID, dict[str, int]]:
    """What was reserved of each node in the last days, less what was released. Two queries."""
    since = at - timedelta(days=DAYS)
    adopted = ProvisioningStep.objects.filter(server__reservation=OuterRef("pk"), step=Step.ADOPTED)
    made = _sums(Reservation.objects.filter(~Exists(adopted), created_at__gt=since, created_at__lte=at))
    released = _sums(Reservation.objects.filter(released_at__gt=since, released_at__lte=at))
    none = dict.fromkeys(KINDS, 0)
    return {
        node: {kind: made.get(node, none)[kind] - released.get(node, none)[kind] for kind in KINDS}
        for node in {*made, *released}
    }


def _sums(rows: QuerySet[Reservation]) -> dict[UUID, dict[str, int]]:
    sums = {
        "memory": Coalesce(Sum("memory_mib"), 0),
        "disk": Coalesce(Sum("disk_mib"), 0),
        "servers": Count("pk", filter=Q(extends=None)),
    }
    summed: QuerySet[Any, Any] = rows.order_by().values("node").annotate(**sums).values_list("node", *KINDS)
    return {node: dict(zip(KINDS, map(int, counts), strict=True)) for node, *counts in summed}
