"""What a server uses, sampled by a worker while somebody looks at its page. The page reads the latest samples."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from core import outside, tenancy, work
from core.compiled import compiled
from core.models import WorkState
from core.work import Reschedule
from servers.drivers import registry
from servers.drivers.abilities import UsageFigures
from servers.models import Blueprint, Server, UsageSample, UsageTask

log = logging.getLogger(__name__)
WATCHED_FOR = timedelta(seconds=60)
# Pages look every 5 s. That somebody looks is written only when it would soon be forgotten.
WATCHED_AGAIN_BEFORE = timedelta(seconds=20)
SAMPLE_EVERY = timedelta(seconds=10)
SHARE_PERCENT = 50  # of a provider's calls a minute; the others are for those who buy
REFUSED_PAUSE = timedelta(seconds=30)
HISTORY = timedelta(minutes=15)
FRESH_FOR = timedelta(seconds=60)

_samples_since = compiled(lambda server, at: UsageSample.objects.filter(server=server, at__gt=at).order_by("at"))
_task_of = compiled(lambda server: UsageTask.objects.filter(server=server).only("watched_until"))


@dataclass(frozen=True)
class UsageHistory:
    """The samples of the last minutes, oldest first; `latest` is the newest, which may be some minutes old."""

    samples: Sequence[UsageSample] = ()
    at: datetime | None = None

    @property
    def latest(self) -> UsageSample | None:
        """The newest sample."""
        return self.samples[-1] if self.samples else None

    @property
    def is_fresh(self) -> bool:
        """Whether the newest says how things are now."""
        return bool(self.latest and self.at and self.at - self.latest.at <= FRESH_FOR)


def usage_of(server: Server, *, at: datetime) -> UsageHistory:
    """What was sampled lately. Asks nobody."""
    return UsageHistory(_samples_since(server, at - HISTORY), at)


def watch(server: Server, *, at: datetime) -> None:
    """Have the server sampled for the next minute; called at each look at its page, it rarely writes."""
    for task in _task_of(server):
        if task.watched_until - at > WATCHED_AGAIN_BEFORE:
            return
    until = at + WATCHED_FOR
    with tenancy.as_worker(server):
        if UsageTask.objects.filter(server=server, state=WorkState.QUEUED).update(
            watched_until=until, node=server.node_id
        ):
            return  # it is sampled in its turn; after an outage, when its back-off is over
        UsageTask.request(
            server,
            at=at,
            watched_until=until,
            organization_id=server.organization_id,
            provider_id=Blueprint.objects.values_list("provider_id", flat=True).get(pk=server.blueprint_id),
            node_id=server.node_id,
        )
        work.wake_worker(UsageTask)


def sample(task: UsageTask, *, at: datetime) -> Reschedule | None:
    """The task's handler: store one sample, and come again as long as somebody looks."""
    if task.watched_until <= at:
        return None
    server = Server.objects.select_related("blueprint__provider").get(pk=task.server_id)
    driver = registry.driver_of(server.blueprint.provider)
    if not isinstance(driver, UsageFigures) or not server.identifier:
        return None
    try:
        usage = driver.usage(server.identifier)
    except outside.Rejected as error:  # it is being installed or moved: not a failure of ours
        log.info("no usage of %s: %s", server.pk, error)
        return Reschedule(REFUSED_PAUSE)
    with tenancy.as_worker():
        UsageSample.objects.create(
            server=server,
            organization_id=server.organization_id,
            at=at,
            **asdict(usage) | {"power_state": usage.power_state.value},
        )
        UsageSample.objects.filter(at__lte=at - HISTORY).delete()
    watched = UsageTask.objects.filter(provider_id=task.provider_id, watched_until__gt=at).count()
    calls_per_minute = max(1, driver.facts.calls_per_minute * SHARE_PERCENT // 100)
    return Reschedule(max(SAMPLE_EVERY, watched * timedelta(minutes=1) / calls_per_minute))
