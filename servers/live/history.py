"""What a server used in the last hour, day and week. The older, the coarser: the tables stay bounded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as _

from servers.drivers.base import Usage
from servers.models import Server, UsageBucket, UsageSample

KEPT = timedelta(hours=1)  # single samples
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# How long buckets of so many minutes are kept: a little longer than they are shown.
KEPT_BUCKETS: Mapping[int, timedelta] = {15: timedelta(hours=26), 120: timedelta(days=8)}
ROLL_UP = """INSERT INTO servers_usagebucket AS bucket
        (id, organization_id, server_id, minutes, starts_at, samples, cpu_sum, memory_sum_mib, disk_mib)
    SELECT uuidv7(), %(organization)s, %(server)s, width, date_bin(width * interval '1 minute', %(at)s, %(epoch)s),
        1, %(cpu)s, %(memory)s, %(disk)s FROM unnest(%(widths)s) AS width
    ON CONFLICT (server_id, minutes, starts_at) DO UPDATE SET samples = bucket.samples + 1,
        cpu_sum = bucket.cpu_sum + EXCLUDED.cpu_sum, memory_sum_mib = bucket.memory_sum_mib + EXCLUDED.memory_sum_mib,
        disk_mib = EXCLUDED.disk_mib"""


class Span(StrEnum):
    """How far back a chart goes."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


# Of each, how long it is, and how long the stretch that a point stands for.
SPANS: Mapping[Span, tuple[timedelta, timedelta]] = {
    Span.HOUR: (timedelta(hours=1), timedelta(minutes=5)),
    Span.DAY: (timedelta(days=1), timedelta(minutes=15)),
    Span.WEEK: (timedelta(days=7), timedelta(minutes=120)),
}
LABELS = {Span.HOUR: _("Hour"), Span.DAY: _("Day"), Span.WEEK: _("Week")}


@dataclass(frozen=True)
class UsageChart:
    """The averages of as many stretches as a span has, the oldest first; None where nothing was measured."""

    span: Span
    starts_at: datetime
    cpu: Sequence[Decimal | None]
    memory: Sequence[Decimal | None]
    disk: Sequence[Decimal | None]

    @property
    def most(self) -> Mapping[str, int]:
        """The highest point of each line."""
        lines = {"cpu": self.cpu, "memory": self.memory, "disk": self.disk}
        return {
            name: int(max((point for point in line if point is not None), default=0)) for name, line in lines.items()
        }

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured at all."""
        return not any(point is not None for point in self.cpu)


def roll_up(server: Server, usage: Usage, *, at: datetime) -> None:
    """Count a sample in its stretches, in the caller's transaction."""
    values: dict[str, Any] = {"cpu": usage.cpu_percent, "memory": usage.memory_mib, "disk": usage.disk_mib}
    named: dict[str, Any] = {"organization": server.organization_id, "server": server.pk, "at": at, "epoch": EPOCH}
    with connection.cursor() as cursor:
        cursor.execute(ROLL_UP, {**values, **named, "widths": list(KEPT_BUCKETS)})


def chart(server: Server, span: Span, *, at: datetime) -> UsageChart:
    """The span that ends at `at`. One query."""
    length, width = SPANS[span]
    count = length // width
    first = at - (at - EPOCH) % width - (count - 1) * width
    found: list[tuple[datetime, int, Decimal, int, int]]
    if span is Span.HOUR:
        samples_of = UsageSample.objects.filter(server=server, at__gte=first, at__lte=at, power_state="running")
        found = [(row.at, 1, row.cpu_percent, row.memory_mib, row.disk_mib) for row in samples_of]
    else:
        minutes = width // timedelta(minutes=1)
        rolled = UsageBucket.objects.filter(server=server, minutes=minutes, starts_at__gte=first, starts_at__lte=at)
        found = [(row.starts_at, row.samples, row.cpu_sum, row.memory_sum_mib, row.disk_mib) for row in rolled]
    samples, sums = [0] * count, [[Decimal(0)] * count for _line in range(3)]
    for moment, counted, cpu, memory, disk in found:
        place = (moment - first) // width
        samples[place] += counted
        for total, value in zip(sums, (cpu, Decimal(memory), Decimal(disk * counted)), strict=True):
            total[place] += value
    cpu_line, memory_line, disk_line = (
        [total / counted if counted else None for total, counted in zip(each, samples, strict=True)] for each in sums
    )
    return UsageChart(span, first, cpu_line, memory_line, disk_line)


def purge(*, at: datetime) -> int:
    """Delete what is shown nowhere any more; how many rows."""
    deleted = 0
    for minutes, kept in KEPT_BUCKETS.items():
        deleted += UsageBucket.objects.filter(minutes=minutes, starts_at__lt=at - kept).delete()[0]
    return deleted
