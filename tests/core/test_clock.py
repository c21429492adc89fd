"""The database's clock rules leases and due times, whatever the machine of a worker believes."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from core import clock, tasks, work
from core.management.commands.worker import Worker
from core.models import WorkState
from support.models import Delivery
from tests.core.work_table import handled_by, make_item

pytestmark = pytest.mark.django_db
AHEAD = timedelta(hours=2)


@pytest.fixture(autouse=True)
def _machine_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    true_now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: true_now() + AHEAD)


def test_a_worker_whose_clock_is_ahead_runs_nothing_before_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    item = make_item(run_at=clock.now() + timedelta(hours=1))
    started: list[Any] = []
    monkeypatch.setattr(Worker, "start", lambda _worker, *call: started.append(call))
    worker = Worker(threads=1)
    with handled_by(lambda item, at: None):
        assert (tasks.sweep(), tasks.run_work(Delivery._meta.label)) == (0, 0)
        worker._start_due()
    worker.stop()

    assert item.reload().state == WorkState.QUEUED
    assert (tasks.run_work.name, Delivery._meta.label) not in started


def test_a_worker_whose_clock_is_ahead_leases_no_longer_than_others() -> None:
    make_item(run_at=clock.now())
    leases: list[datetime | None] = []
    with handled_by(lambda item, at: leases.append(item.lease_until)):
        tasks.sweep()

    [lease_until] = leases
    assert lease_until is not None
    assert lease_until <= clock.now() + Delivery.LEASE


def test_a_worker_whose_clock_is_ahead_retries_in_time() -> None:
    item = make_item(run_at=clock.now())
    with handled_by(lambda item, at: work.Reschedule(after=timedelta(minutes=5))):
        tasks.sweep()

    assert item.reload().run_at <= clock.now() + timedelta(minutes=5)
