"""The start page's cards about nodes: who takes more than their share of one, and when places are full."""

from dataclasses import dataclass
from datetime import date, datetime

from django.urls import reverse
from django.utils.translation import gettext_lazy

from servers.capacity.forecast import Forecast, forecasts
from servers.live.neighbours import FullDisk, NoisyNeighbour, full_disks, noisy_neighbours
from servers.models import Region

MAX_ROWS = 6
KINDS = {"memory": gettext_lazy("memory"), "disk": gettext_lazy("disk"), "servers": gettext_lazy("number of servers")}


@dataclass(frozen=True)
class Neighbours:
    """What the last hour's usage says."""

    noisy: list[NoisyNeighbour]
    full: list[FullDisk]


@dataclass(frozen=True)
class ForecastLine:
    """A region or a node, the day on which it is full, and of what; no day where it does not fill up."""

    name: str
    url: str
    is_region: bool
    full_on: date | None
    kind: str

    @classmethod
    def of(cls, forecast: Forecast) -> "ForecastLine":
        """The line of a forecast."""
        place, is_region = forecast.place, isinstance(forecast.place, Region)
        name = "region" if is_region else "node"
        url = reverse(f"admin:servers_{name}_change", args=[place.pk])
        return cls(str(place), url, is_region, forecast.full_on, str(KINDS.get(forecast.kind, "")))


def neighbours(at: datetime) -> Neighbours:
    """Those that take most beyond their share of a busy node, and the fullest disks."""
    return Neighbours(noisy_neighbours(at=at, limit=MAX_ROWS), full_disks(at=at, limit=MAX_ROWS))


def forecast_lines(at: datetime) -> list[ForecastLine]:
    """The regions and nodes that are full first, regions before nodes."""
    regions, nodes = forecasts(at=at)
    return [ForecastLine.of(each) for each in (*regions[:MAX_ROWS], *nodes[:MAX_ROWS])]
