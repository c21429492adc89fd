"""One run of a kind: batch by batch, each in a transaction of its own, with a `Run` row that says what was done.

A run may be killed, repeated, or run beside another: what is done is no longer due, and is seen under its rows' locks.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils.translation import gettext as _

from billing.models import Invoice, Run, RunKind, RunState
from billing.runs import batches, collect, dun, expire, meter, renew
from billing.runs.batches import EVERYBODY, OrganizationRange
from core import audit, clock, tenancy, work

log = logging.getLogger(__name__)
# A run writes its row with each batch, which takes a second: one that has not for so long was killed.
SILENCE = timedelta(minutes=10)
MAX_SKIPPED = 1000  # named in the row; the log names all

type Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Step:
    """A kind of run: the query of the organizations of what is due, with its parameters, and what is done with it.

    `chargeable` are the invoices for which saved methods are to be charged then.
    """

    due: Callable[[datetime], tuple[str, dict[str, Any]]]
    perform: Callable[[OrganizationRange, datetime], None]
    chargeable: Callable[[OrganizationRange, datetime], list[Invoice]] | None = None  # after the batch's commit


# In the order in which they are due on a day.
STEPS = {
    RunKind.RENEW: Step(renew.due, renew.perform),
    RunKind.COLLECT: Step(collect.due, collect.perform, collect.chargeable),
    RunKind.METER: Step(meter.due, meter.perform),
    RunKind.DUN: Step(dun.due, dun.perform),
    RunKind.EXPIRE: Step(expire.due, expire.perform),
}


def execute(kind: RunKind, *, at: datetime, progress: Progress = lambda _done, _rows: None) -> Run:
    """Do all that is due at `at`, and say how far it is: how many rows of how many, at first none.

    Raises what stops the whole run.
    """
    step = STEPS[kind]
    with _recorded(kind, at) as run:
        with tenancy.as_worker():
            found = batches.ranges(*step.due(at), within=EVERYBODY, size=batches.SIZE)
        done, total = 0, sum(each.rows for each in found)
        progress(done, total)  # what is due is found
        for each in found:
            _perform(run, step, each)
            done += each.rows
            progress(done, total)
    return run


def _perform(run: Run, step: Step, of: OrganizationRange) -> None:
    """One batch. One that fails is done organization by organization: only those that fail again are left out."""
    try:
        perform_batch(run, step, of)
        if step.chargeable and (charged := collect.request_charges(step.chargeable(of, run.at), run.at)):
            _count(run, {"charge": charged})
    except Exception as error:
        with tenancy.as_worker():
            single = batches.ranges(*step.due(run.at), within=of, size=1)
        log.exception("%s of %s organizations failed", run, len(single))
        if len(single) == 1:
            if len(run.skipped) < MAX_SKIPPED:
                run.skipped[str(single[0].until)] = work.describe(error)
            return
        for each in single:
            _perform(run, step, each)


def perform_batch(run: Run, step: Step, of: OrganizationRange) -> None:
    """What is due in the range, the counts and one entry of the audit trail, in one transaction."""
    with tenancy.as_worker():
        batches.begin()
        step.perform(of, run.at)
        counts = batches.counted()
        if counts:
            audit.record(action=f"billing.{run.kind}", entity=run, actor=audit.SYSTEM, metadata=counts, at=run.at)
        _count(run, counts)


def _count(run: Run, counts: dict[str, int]) -> None:
    """Add to what the run's row says."""
    with tenancy.within_worker():
        total = dict(Counter(run.counts) + Counter(counts))
        Run.objects.filter(pk=run.pk).update(counts=total)
    run.counts = total


@contextmanager
def _recorded(kind: RunKind, at: datetime) -> Iterator[Run]:
    """The run's row, which says afterwards how it ended. Runs that were killed are marked as interrupted."""
    with tenancy.as_worker():
        running = Run.objects.filter(kind=kind, state=RunState.RUNNING)
        running.filter(updated_at__lt=clock.now() - SILENCE).update(state=RunState.INTERRUPTED, ended_at=Now())
        run = Run.objects.create(kind=kind, at=at)
    try:
        yield run
    except BaseException as error:
        run.error = work.describe(error) if isinstance(error, Exception) else _("Stopped")
        _end(run, RunState.FAILED)
        raise
    _end(run, RunState.INCOMPLETE if run.skipped else RunState.DONE)


def _end(run: Run, state: RunState) -> None:
    run.state = state
    with tenancy.as_worker():
        changed = {"state": state, "skipped": run.skipped, "error": run.error}
        Run.objects.filter(pk=run.pk).update(ended_at=Now(), **changed)
