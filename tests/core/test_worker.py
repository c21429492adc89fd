"""`manage.py worker`, the worker of a shop without Redis: in a real process, and its threads alone."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import Celery, current_app
from django.db import connection
from django.utils import timezone

from core import queue, tasks, work
from core.management.commands.worker import Worker, seconds_to
from core.models import WorkState
from support.models import Delivery
from tests.core.work_table import NOON, make_item
from tests.processes import start_worker

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
MAX_SECONDS = 30


def until(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold in time."""
    deadline = time.monotonic() + MAX_SECONDS
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the worker logs."""
    return tmp_path / "worker.log"


@pytest.fixture
def process(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker on the test database, which is ready and has run the schedule once; messages go to it."""
    monkeypatch.setattr(queue, "current_app", Celery("test", broker=None, set_as_current=False))
    started = start_worker(tmp_path)
    assert until(lambda: "the worker is ready." in log.read_text()), log.read_text()
    yield started
    started.kill()
    started.wait(timeout=10)


def is_done(item: Delivery) -> bool:
    return bool(item.reload().state == WorkState.DONE)


def make_sent_item(*, run_at: datetime = NOON) -> Delivery:
    """Sent already, so that the handler has nothing to do but to finish it."""
    return make_item(sent_at=NOON, run_at=run_at)


def test_a_message_wakes_it(process: "subprocess.Popen[bytes]") -> None:
    item = make_sent_item()

    work.wake_worker(Delivery)

    assert until(lambda: is_done(item))


def test_a_message_that_is_not_understood_does_not_stop_it(process: "subprocess.Popen[bytes]", log: Path) -> None:
    for payload in ("", "{", "5", "[]", "[[]]", "[" * 7000, '["no.such.task"]', '{"core": 1}'):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [queue.CHANNEL, payload])
    item = make_sent_item()

    assert until(lambda: is_done(item)), log.read_text()
    assert process.poll() is None


def test_a_row_that_nobody_sent_a_message_about_is_found(process: "subprocess.Popen[bytes]") -> None:
    item = make_sent_item()

    assert until(lambda: is_done(item))


def test_a_row_is_performed_when_it_becomes_due(process: "subprocess.Popen[bytes]") -> None:
    item = make_sent_item(run_at=timezone.now() + timedelta(seconds=1.5))

    assert until(lambda: is_done(item))
    finished_at = item.reload().finished_at
    assert finished_at is not None
    assert finished_at >= item.run_at


def test_it_goes_on_when_its_connection_to_the_database_is_lost(process: "subprocess.Popen[bytes]", log: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            " OR (datname = current_database() AND pid <> pg_backend_pid())"
        )
        cursor.execute("SET ROLE nodebyte_worker")
    assert until(lambda: log.read_text().count("the worker is ready.") == 2), log.read_text()
    item = make_sent_item()

    work.wake_worker(Delivery)

    assert until(lambda: is_done(item))


def test_sigterm_stops_it(process: "subprocess.Popen[bytes]", log: Path) -> None:
    process.terminate()

    assert process.wait(timeout=10) == 0
    assert "the worker stops." in log.read_text()


@pytest.fixture
def worker() -> Iterator[Worker]:
    """The threads alone, without listening."""
    made = Worker(threads=2)
    yield made
    made.stop()


def test_equal_calls_that_wait_are_performed_once(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst of webhooks sends a message for each, and the next purchase must not wait behind them all."""
    performed: list[str] = []
    are_free = threading.Event()

    def run(label: str) -> None:
        performed.append(label)
        are_free.wait(MAX_SECONDS)

    monkeypatch.setattr(tasks.run_work, "run", run)
    for label in ("first", "second"):
        worker.start(tasks.run_work.name, label)
    assert until(lambda: len(performed) == 2)

    for label in ("GatewayEvent", "ProvisioningTask", "GatewayEvent", "GatewayEvent", "last"):
        worker.start(tasks.run_work.name, label)
    are_free.set()

    assert until(lambda: "last" in performed)
    worker.stop()
    assert sorted(performed) == ["GatewayEvent", "ProvisioningTask", "first", "last", "second"]


def test_one_slow_table_leaves_a_thread_to_the_others(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    is_over = threading.Event()

    def run(label: str) -> None:
        begun.append(label)
        if label == "slow":
            is_over.wait(MAX_SECONDS)

    monkeypatch.setattr(tasks.run_work, "run", run)
    worker.start(tasks.run_work.name, "slow")
    assert until(lambda: begun == ["slow"])
    worker.start(tasks.run_work.name, "slow")
    worker.start(tasks.run_work.name, "quick")

    assert until(lambda: begun == ["slow", "quick"])
    is_over.set()
    assert until(lambda: begun == ["slow", "quick", "slow"])  # asked for while it ran, so performed once more


def test_a_call_after_one_has_begun_is_performed_too(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    performed: list[str] = []
    monkeypatch.setattr(tasks.run_work, "run", performed.append)

    for count in (1, 2):
        worker.start(tasks.run_work.name, "GatewayEvent")
        assert until(lambda count=count: len(performed) == count)  # type: ignore[misc]


def test_a_task_that_fails_does_not_stop_it(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr(tasks.run_work, "run", lambda label: done.set() if label == "good" else 1 / 0)

    worker.start(tasks.run_work.name, "bad")
    worker.start(tasks.run_work.name, "good")

    assert done.wait(MAX_SECONDS)


def test_every_entry_of_the_schedule_names_a_task(worker: Worker) -> None:
    names = {entry["task"] for entry in current_app.conf.beat_schedule.values()}

    assert names <= set(current_app.tasks)


def test_the_ledger_is_audited_at_night_and_not_whenever_a_worker_starts(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    nightly = current_app.conf.beat_schedule["audit-ledger"]["schedule"]
    tasks_at_start = [task for (task, _schedule), at in zip(worker._schedule, worker._next_run, strict=True) if not at]
    assert "billing.tasks.bill" in tasks_at_start
    assert "billing.tasks.audit_ledger" not in tasks_at_start

    waits = []
    for hour in (22, 2, 3):
        monkeypatch.setattr(nightly, "nowfun", lambda hour=hour: datetime(2026, 11, 22, hour, tzinfo=UTC))
        waits.append(seconds_to(nightly))
    assert waits == [5 * 3600, 3600, 24 * 3600]
