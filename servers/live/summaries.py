"""How servers are right now, for pages that show many: from rows, in two queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from servers.live.status import INSTALLED, LiveStatus, live_status
from servers.live.usage import HISTORY, UsageHistory
from servers.models import PowerTask, Server, UsageSample


@dataclass(frozen=True)
class Summary:
    """A server's status with the power actions that are possible in it, and its newest figures of the last minutes."""

    status: LiveStatus
    usage: UsageSample | None


def summaries_of(servers: Sequence[Server], *, at: datetime) -> Mapping[UUID, Summary]:
    """The summary of each server that is installed, by its id. Asks no provider."""
    installed = [server for server in servers if server.status in INSTALLED]
    if not installed:
        return {}
    samples = UsageSample.objects.filter(server__in=installed, at__gt=at - HISTORY)
    newest = {each.server_id: each for each in samples.order_by("server_id", "-at").distinct("server_id")}
    tasks = {each.server_id: each for each in PowerTask.objects.filter(server__in=installed)}
    found = {}
    for server in installed:
        sample = newest.get(server.pk)
        history = UsageHistory([sample] if sample else [], at)
        found[server.pk] = Summary(live_status(server, history, tasks.get(server.pk), at=at), sample)
    return found
