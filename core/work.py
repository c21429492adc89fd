"""Performing durable work: claim rows, run their handlers, back off, mark_dead. The queue only nudges."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from django.apps import apps
from django.db import transaction
from kombu.exceptions import OperationalError

from core import outside, queue
from core.models import WorkItem, WorkState

log = logging.getLogger(__name__)
FIRST_DELAY = timedelta(seconds=2)
MAX_DELAY = timedelta(hours=1)
MAX_NUDGE = timedelta(minutes=1)  # beside a longer wait the few seconds until the sweep do not count


class WorkerLost(Exception):
    """A worker took the item and did not live to say how it ended, too many times."""


@dataclass(frozen=True)
class Reschedule:
    """A handler's answer that all is well and it wants to look again later; no failure is counted."""

    after: timedelta


class Perform(Protocol):
    """Carries one item out. Any crash may make it run again, so it must be repeatable."""

    def __call__(self, item: WorkItem, /, *, at: datetime) -> Reschedule | None: ...


_registry: dict[type[WorkItem], Callable[..., Reschedule | None]] = {}


def register(model: type[WorkItem], perform: Callable[..., Reschedule | None]) -> None:
    """Name the handler of a work table; called from AppConfig.ready()."""
    _registry[model] = perform


def registered() -> tuple[type[WorkItem], ...]:
    """Every work table, for sweeps, the admin and the health page."""
    return tuple(_registry)


def run_due(
    *,
    at: datetime,
    limit: int = 100,
    models: tuple[type[WorkItem], ...] | None = None,
    clock: Callable[[], datetime] | None = None,
) -> int:
    """Claim and perform what is due, at most `limit` items a table; the number performed.

    `at` is the instant that counts as now; a worker that runs long passes `clock` so that each item sees its own now.
    """
    performed = 0
    for model in models or registered():
        for _ in range(limit):
            items = model.claim(limit=1, at=clock() if clock else at)
            if not items:
                break
            perform_one(items[0], at=clock() if clock else at)
            performed += 1
    return performed


def perform_one(item: WorkItem, *, at: datetime) -> None:
    """Run one claimed item's handler and record how it ended; one that keeps taking its worker down is buried."""
    if item.attempts > item.MAX_ATTEMPTS:
        _mark_dead(item, at, WorkerLost(f"{item.attempts - 1} attempts, and the last worker never came back"))
        return
    try:
        again = _registry[type(item)](item, at=at)
    except outside.Rejected as error:
        _mark_dead(item, at, error)
    except (outside.Unavailable, outside.Unknown) as error:
        _back_off(item, at, error)
    except Exception as error:  # the row must outlive any fault of ours; it is kept, shown and logged
        log.exception("%s %s failed", item._meta.label, item.pk)
        _back_off(item, at, error)
    else:
        _settle(item, at, again)


def _settle(item: WorkItem, at: datetime, again: Reschedule | None) -> None:
    if again is None:
        item.finish(at=at)
    else:
        item.requeue(run_at=at + again.after, attempts=0)
        wake_worker_later(type(item), again.after)


def _mark_dead(item: WorkItem, at: datetime, error: Exception) -> None:
    log.warning("%s %s is dead: %s", item._meta.label, item.pk, error)
    item.mark_dead(at=at, reason=describe(error))


def _back_off(item: WorkItem, at: datetime, error: Exception) -> None:
    if item.attempts >= item.MAX_ATTEMPTS:
        _mark_dead(item, at, error)
        return
    wait = getattr(error, "retry_after", None)
    delay = timedelta(seconds=wait) if wait else backoff(item.attempts)
    log.info("%s %s waits %s: %s", item._meta.label, item.pk, delay, error)
    item.requeue(run_at=at + delay, error=describe(error))
    wake_worker_later(type(item), delay)


def backoff(attempts: int) -> timedelta:
    """2 s doubling to an hour, each shortened by up to a quarter at random so that no crowd comes back at once."""
    longest: timedelta = min(FIRST_DELAY * 2 ** min(attempts - 1, 20), MAX_DELAY)
    return longest * (1 - random.random() / 4)  # noqa: S311 - jitter, not a secret


def describe(error: Exception) -> str:
    """One line for the row and the admin."""
    return f"{type(error).__name__}: {error}"[:2000]


def wake_worker(model: type[WorkItem]) -> None:
    """After commit, tell a worker that there is work; when the queue is down the sweep finds it."""
    transaction.on_commit(lambda: _send(model._meta.label), robust=True)


def wake_worker_later(model: type[WorkItem], after: timedelta) -> None:
    """Have a worker look as soon as a short wait is over, rather than when the sweep comes by."""
    if timedelta(0) < after <= MAX_NUDGE:
        transaction.on_commit(lambda: _send(model._meta.label, countdown=after.total_seconds()), robust=True)


def _send(label: str, countdown: float | None = None) -> None:
    try:
        queue.send("core.tasks.run_work", label, countdown=countdown)
    except OperationalError as error:
        log.warning("the queue is down (%s); the sweep will find %s", error, label)


def model_of(label: str) -> type[WorkItem]:
    """The work table named `app.Model`; LookupError when it is none."""
    model = apps.get_model(label)
    if model not in _registry:
        raise LookupError(f"{label} is not a work table")
    return model


def retry(item: WorkItem, *, at: datetime) -> bool:
    """Put a dead row back in the queue, as the admin's Retry button does."""
    rows = type(item)._default_manager.filter(pk=item.pk, state=WorkState.DEAD)
    is_queued = bool(rows.update(state=WorkState.QUEUED, run_at=at, attempts=0, finished_at=None))
    wake_worker(type(item))
    return is_queued
