"""What servers use, sampled by workers: now and then while they run, often while somebody looks at their page.

A page reads the latest samples; what is older is rolled up (`servers.live.history`).
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from core import outside, tenancy, work
from core.compiled import compiled
from core.models import WorkState
from core.work import Reschedule
from servers import events, outages
from servers.drivers import registry
from servers.drivers.abilities import UsageFigures
from servers.drivers.base import PowerState
from servers.live import history, players
from servers.models import Blueprint, PowerStatus, Server, ServerStatus, UsageSample, UsageTask

log = logging.getLogger(__name__)
WATCHED_FOR = timedelta(seconds=60)
# Pages look every 5 s. That somebody looks is written only when it would soon be forgotten.
WATCHED_AGAIN_BEFORE = timedelta(seconds=20)
SAMPLE_EVERY = timedelta(seconds=10)
SHARE_PERCENT = 50  # of a provider's calls a minute; the others are for those who buy
SAMPLE_UNWATCHED_EVERY = timedelta(minutes=5)
SAMPLED_AT_ONCE = 5000  # servers that begin to be sampled in a minute
UNWATCHED_SHARE_PERCENT = 20
FULL_PERCENT, NOT_FULL_PERCENT = 90, 85  # of its disk: from where its owner is told, and below which it is told again
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

    @property
    def players(self) -> UsageSample | None:
        """The newest sample in which the game said who plays, unless the server was off since."""
        for sample in reversed(self.samples):
            if sample.players is not None or sample.power_state == PowerStatus.OFF:
                return sample if sample.players is not None else None
        return None


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
        queued = UsageTask.objects.filter(server=server, state=WorkState.QUEUED)
        if queued.filter(outages__gt=0).update(watched_until=until, node=server.node_id):
            return  # it is sampled when its back-off is over
        if queued.filter(watched_until__gt=at).update(watched_until=until, node=server.node_id):
            return  # it is sampled in its turn
        UsageTask.request(
            server,
            at=at,
            watched_until=until,
            organization_id=server.organization_id,
            provider_id=Blueprint.objects.values_list("provider_id", flat=True).get(pk=server.blueprint_id),
            node_id=server.node_id,
        )
        work.wake_worker(UsageTask)


def sample_running(*, at: datetime) -> int:
    """Have every running server sampled from now on that is not; their number. A task asks for it every minute."""
    able = [kind for kind, facts in registry.facts().items() if facts.measures_usage]
    running = Server.objects.filter(status=ServerStatus.RUNNING, blueprint__provider__kind__in=able).exclude(
        identifier=""
    )
    with tenancy.as_worker():
        new = UsageTask.objects.bulk_create(
            [
                UsageTask(
                    server=server,
                    organization_id=server.organization_id,
                    provider_id=server.blueprint.provider_id,
                    node_id=server.node_id,
                    watched_until=at,
                    run_at=at,
                )
                for server in running.filter(usage_task=None).select_related("blueprint")[:SAMPLED_AT_ONCE]
            ],
            ignore_conflicts=True,
        )
        again = UsageTask.objects.filter(server__in=running, state=WorkState.DONE)  # what is dead is for staff
        counted = {"attempts": 0, "outages": 0, "last_error": "", "finished_at": None}
        return len(new) + again.update(state=WorkState.QUEUED, run_at=at, **counted)


def sample(task: UsageTask, *, at: datetime) -> Reschedule | None:
    """The task's handler: store one sample, and come again while the server runs, soon while somebody looks."""
    server = Server.objects.select_related("blueprint__provider", "node").get(pk=task.server_id)
    is_watched = task.watched_until > at
    driver = registry.driver_of(server.blueprint.provider)
    if not isinstance(driver, UsageFigures) or not server.identifier:
        return None
    if not is_watched and server.status != ServerStatus.RUNNING:
        return None
    try:
        usage = driver.usage(server.identifier)
    except outside.Unavailable as error:
        outages.record_failure(error, provider=server.blueprint.provider, node=server.node, at=at)
        raise
    except outside.Rejected as error:  # it is being installed or moved: not a failure of ours
        log.info("no usage of %s: %s", server.pk, error)
        return Reschedule(REFUSED_PAUSE if is_watched else SAMPLE_UNWATCHED_EVERY)
    outages.record_answer(provider=server.blueprint.provider, node=server.node)
    is_running = usage.power_state is PowerState.RUNNING
    told = players.players_of(server, task, is_watched=is_watched, at=at) if is_running else None
    with tenancy.as_worker():
        UsageSample.objects.create(
            server=server,
            organization_id=server.organization_id,
            at=at,
            players=told.count if told else None,
            players_limit=told.limit if told else None,
            player_names=told.names if told else (),
            **asdict(usage) | {"power_state": usage.power_state.value},
        )
        UsageSample.objects.filter(at__lte=at - history.KEPT).delete()
        if is_running and usage.memory_mib:  # without, nothing was measured
            history.roll_up(server, usage, at=at)
            _tell_of_full_disk(task, server, usage.disk_mib, at=at)
    rows = UsageTask.objects.filter(provider_id=task.provider_id)
    if is_watched:
        count, every, percent = rows.filter(watched_until__gt=at).count(), SAMPLE_EVERY, SHARE_PERCENT
    else:
        count, every, percent = rows.count(), SAMPLE_UNWATCHED_EVERY, UNWATCHED_SHARE_PERCENT
    calls_per_minute = max(1, driver.facts.calls_per_minute * percent // 100)
    return Reschedule(max(every, count * timedelta(minutes=1) / calls_per_minute))


def _tell_of_full_disk(task: UsageTask, server: Server, disk_mib: int, *, at: datetime) -> None:
    """Once when the disk is nearly full, and again only after it was not."""
    percent = 100 * disk_mib // max(server.disk_mib, 1)
    rows = UsageTask.objects.filter(pk=task.pk)
    if percent >= FULL_PERCENT and server.disk_mib and rows.filter(disk_told_at=None).update(disk_told_at=at):
        events.disks_filling.send(Server, server_ids=[server.pk], at=at)
    elif percent < NOT_FULL_PERCENT and task.disk_told_at:
        rows.update(disk_told_at=None)
