"""Durable work: claim rows, run their handlers, back off, mark dead. The queue only wakes workers early.

What another system's outage ends is tried again for as long as the outage lasts. Only a rejection, or our own fault
at each of MAX_ATTEMPTS attempts, makes work dead.
"""

import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db import transaction
from kombu.exceptions import OperationalError

from core import leases, outside, queue, site_settings
from core.models import UNTRIED, WorkItem, WorkState, first_due

log = logging.getLogger(__name__)
FIRST_DELAY = timedelta(seconds=2)
MAX_DELAY = timedelta(hours=1)
MAX_OUTAGE_DELAY = timedelta(minutes=5)  # so soon after an outage everything goes on
PURGE_BATCH = 5000
BATCH = 16  # items of a batch handler; all of them are leased at once
MAX_WAKE_DELAY = timedelta(minutes=1)  # after a longer wait the sweep, which runs every few seconds, is soon enough


class WorkerLost(Exception):
    """Too many workers claimed the item and died before they recorded how it ended."""


@dataclass(frozen=True)
class Reschedule:
    """Returned by a handler that wants to run again later. Not a failure: the attempts start again at zero."""

    after: timedelta


_handlers: dict[type[WorkItem], Callable[..., Reschedule | None]] = {}
_batch_handlers: dict[type[WorkItem], Callable[..., Collection[Any]]] = {}


def register(
    model: type[WorkItem],
    handler: Callable[..., Reschedule | None],
    *,
    batch_handler: Callable[..., Collection[Any]] | None = None,
) -> None:
    """Name the handler of a work table, from AppConfig.ready(). It is called as `handler(item, at=…)`.

    A crash may make an item run again, so a handler must be safe to repeat. A batch handler is called first, as
    `batch_handler(items, at=…)`, where several items are due that were never tried. It returns the keys of those that
    are done; the others go to the handler, one by one.
    """
    _handlers[model] = handler
    if batch_handler is not None:
        _batch_handlers[model] = batch_handler


def registered() -> tuple[type[WorkItem], ...]:
    """Every work table, for sweeps, the admin and the health page."""
    return tuple(_handlers)


def run_due(
    *,
    at: datetime | None = None,
    limit: int = 100,
    models: tuple[type[WorkItem], ...] | None = None,
) -> int:
    """Claim and run what is due, at most `limit` items a table; returns how many were run.

    Each item's now is what the database's clock says when it is claimed, or `at` where time is passed in.
    """
    count, waiting = 0, list(models or registered())
    while waiting and (place := first_due(waiting, at=at)) is not None:
        model, left = waiting[place], limit
        del waiting[: place + 1]
        while left and (items := model.claim(limit=1, at=at)):
            if model in _batch_handlers and items[0].attempts == 1:
                items += model.claim(limit=min(BATCH, left) - 1, at=at, which=UNTRIED)
            done: list[WorkItem] = []
            if len(items) > 1:
                try:
                    with leases.renewed(items):
                        keys = _batch_handlers[model](items, at=items[0].claimed_at)
                    done = [item for item in items if item.pk in keys]
                except Exception:  # nothing of the batch was done: each item is run by itself
                    log.exception("a batch of %s failed", model._meta.label)
                model.finish_all(done, at=items[0].claimed_at)
            for item in items:
                if item not in done:
                    run_item(item, at=item.claimed_at)
            left -= len(items)
        count += limit - left
    return count


def run_item(item: WorkItem, *, at: datetime) -> None:
    """Run the handler of a claimed item and record how it ended."""
    if item.counted_attempts > item.MAX_ATTEMPTS:  # every worker that claimed it was killed
        lost = WorkerLost(f"{item.counted_attempts - 1} attempts, and the last worker did not report back")
        _mark_dead(item, at, lost)
        return
    try:
        with leases.renewed([item]):
            reschedule = _handlers[type(item)](item, at=at)
    except outside.Rejected as error:
        _mark_dead(item, at, error)
    except (outside.Unavailable, outside.Unknown) as error:
        delay = backoff(item.attempts, longest=MAX_OUTAGE_DELAY)
        if error.retry_after:
            delay = max(delay, min(timedelta(seconds=error.retry_after), MAX_DELAY))
        _retry_later(item, at, delay, error, outages=item.outages + 1)
    except Exception as error:  # a fault of ours must not lose the row: it is kept, shown and logged
        log.exception("%s %s failed", item._meta.label, item.pk)
        if item.counted_attempts >= item.MAX_ATTEMPTS:
            _mark_dead(item, at, error)
        else:
            _retry_later(item, at, backoff(item.counted_attempts), error, outages=item.outages)
    else:
        if reschedule is None:
            item.finish(at=at)
        else:
            item.requeue(run_at=at + reschedule.after)
            wake_worker_later(type(item), reschedule.after)


def _mark_dead(item: WorkItem, at: datetime, error: Exception) -> None:
    log.warning("%s %s is dead: %s", item._meta.label, item.pk, error)
    item.mark_dead(at=at, reason=describe(error))


def _retry_later(item: WorkItem, at: datetime, delay: timedelta, error: Exception, *, outages: int) -> None:
    log.info("%s %s waits %s: %s", item._meta.label, item.pk, delay, error)
    item.requeue(run_at=at + delay, error=describe(error), attempts=item.attempts, outages=outages)
    wake_worker_later(type(item), delay)


def backoff(attempts: int, *, longest: timedelta = MAX_DELAY) -> timedelta:
    """2 s doubling up to `longest`, shortened at random by up to a quarter so that items do not retry together."""
    delay: timedelta = min(FIRST_DELAY * 2 ** min(attempts - 1, 20), longest)
    return delay * (1 - random.random() / 4)  # noqa: S311 - jitter, not a secret


def run_each[Key](keys: Iterable[Key], act: Callable[[Key], object], *, name: str) -> int:
    """Call `act` with each key of a sweep; the number of calls that returned something true.

    One that raises is logged and left to the next sweep, and those behind it are called all the same.
    """
    count = 0
    for key in keys:
        try:
            count += bool(act(key))
        except outside.OutsideError as error:
            log.warning("%s of %s waits for the next sweep: %s", name, key, error)
        except Exception:
            log.exception("%s of %s failed", name, key)
    return count


def describe(error: Exception) -> str:
    """One line for the row and the admin."""
    return f"{type(error).__name__}: {error}"[:2000]


def wake_worker(model: type[WorkItem]) -> None:
    """After commit, tell a worker that there is work. When the queue is down, the sweep finds the row."""
    transaction.on_commit(lambda: _send(model._meta.label), robust=True)


def wake_worker_later(model: type[WorkItem], after: timedelta) -> None:
    """Wake a worker when a short wait is over, rather than leave the item to the next sweep."""
    if timedelta(0) < after <= MAX_WAKE_DELAY:
        transaction.on_commit(lambda: _send(model._meta.label, countdown=after.total_seconds()), robust=True)


def _send(label: str, countdown: float | None = None) -> None:
    try:
        queue.send("core.tasks.run_work", label, countdown=countdown)
    except OperationalError as error:
        log.warning("the queue is down (%s); the sweep will find %s", error, label)


def model_of(label: str) -> type[WorkItem]:
    """The work table named `app.Model`; LookupError when there is none."""
    model = apps.get_model(label)
    if model not in _handlers:
        raise LookupError(f"{label} is not a work table")
    return model


def retry(items: Sequence[WorkItem], *, at: datetime) -> int:
    """Put those that are dead back in the queue, as the admin's Retry does; how many. They are rows of one table."""
    model = type(items[0])
    dead = model._default_manager.filter(pk__in=[item.pk for item in items], state=WorkState.DEAD)
    count: int = dead.update(state=WorkState.QUEUED, run_at=at, attempts=0, outages=0, finished_at=None)
    wake_worker(model)
    return count


def purge_done(*, at: datetime) -> int:
    """Delete what was done longer ago than the setting says, from every work table; how many rows."""
    before = at - timedelta(days=site_settings.get("work.keep_done_days"))
    deleted = 0
    for model in registered():
        while count := model.delete_done(before=before, limit=PURGE_BATCH):
            deleted += count
    return deleted
