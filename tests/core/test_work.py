"""Durable work: every row is handled, by one worker at a time, even when workers die."""

import logging
import time
from datetime import timedelta

import pytest
from celery import Celery
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from core import outside, queue, site_settings, tasks, work
from core.models import WorkState
from support.models import Delivery
from tests.core.work_table import DUE_INDEX, NOON, handled_by, make_item, make_many

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def fail_with(error: Exception) -> object:
    """A handler that always raises."""

    def perform(_item: Delivery, *, at: object) -> None:
        raise error

    return perform


def test_a_due_row_is_handled_once_and_done() -> None:
    seen = []
    due, later = make_item(), make_item(run_at=NOON + SECOND)
    with handled_by(lambda item, at: seen.append((item.pk, at))):
        assert work.run_due(at=NOON) == 1
        assert work.run_due(at=NOON) == 0

    assert seen == [(due.pk, NOON)]
    assert (due.reload().state, due.reload().finished_at, due.reload().lease_until) == (WorkState.DONE, NOON, None)
    assert later.reload().state == WorkState.QUEUED


def test_the_oldest_is_handled_first_and_the_limit_is_kept() -> None:
    seen: list[object] = []
    items = [make_item(run_at=NOON - SECOND * age) for age in (1, 3, 2)]
    with handled_by(lambda item, at: seen.append(item.pk)):
        assert work.run_due(at=NOON, limit=2) == 2

    assert seen == [items[1].pk, items[2].pk]


def test_a_long_run_gives_each_item_its_own_now() -> None:
    seen = []
    for _ in range(2):
        make_item()
    with handled_by(lambda item, at: seen.append(at)):
        work.run_due()

    assert seen[0] < seen[1]


def test_the_row_of_a_dead_worker_is_handled_again_only_after_its_lease() -> None:
    item = make_item()
    (taken,) = Delivery.claim(limit=1, at=NOON)

    assert taken.lease_until == NOON + Delivery.LEASE
    assert Delivery.claim(limit=1, at=NOON + Delivery.LEASE - SECOND) == []
    (again,) = Delivery.claim(limit=1, at=NOON + Delivery.LEASE)
    assert (again.pk, again.attempts) == (item.pk, 2)


@pytest.mark.parametrize("ending", ["finish", "requeue", "mark_dead"])
def test_a_worker_that_lost_its_lease_changes_nothing(ending: str) -> None:
    make_item()
    (slow,) = Delivery.claim(limit=1, at=NOON)
    (quick,) = Delivery.claim(limit=1, at=NOON + Delivery.LEASE)
    end = {
        "finish": lambda: slow.finish(at=NOON),
        "requeue": lambda: slow.requeue(run_at=NOON),
        "mark_dead": lambda: slow.mark_dead(at=NOON, reason="late"),
    }[ending]

    assert end() is False
    now = quick.reload()
    assert (now.state, now.lease_until, now.attempts, now.last_error) == (WorkState.RUNNING, quick.lease_until, 2, "")
    assert quick.finish(at=NOON) is True


def test_a_slow_handler_does_not_finish_the_row_of_the_worker_that_took_over() -> None:
    item = make_item()

    def too_slow(_item: Delivery, *, at: object) -> None:
        Delivery.claim(limit=1, at=NOON + Delivery.LEASE)

    with handled_by(too_slow):
        work.run_due(at=NOON, limit=1)

    assert (item.reload().state, item.reload().attempts) == (WorkState.RUNNING, 2)


@pytest.mark.parametrize("attempts", [1, 2, 5, 11, 12, 60, 10_000])
def test_back_off_doubles_to_an_hour_and_is_shortened_by_at_most_a_quarter(attempts: int) -> None:
    longest = min(timedelta(seconds=2) * 2 ** min(attempts - 1, 30), timedelta(hours=1))
    waits = [work.backoff(attempts) for _ in range(200)]

    assert all(longest * 0.75 <= wait <= longest for wait in waits)
    assert max(waits) - min(waits) > longest * 0.1


@pytest.mark.parametrize(
    "error", [outside.Unavailable("down"), outside.Unknown("lost"), RuntimeError("our own fault")], ids=lambda e: str(e)
)
def test_a_failure_backs_off_and_stores_its_reason(error: Exception) -> None:
    item = make_item()
    with handled_by(fail_with(error)):  # type: ignore[arg-type]
        work.run_due(at=NOON)

    now = item.reload()
    assert (now.state, now.attempts) == (WorkState.QUEUED, 1)
    assert NOON + SECOND * 1.5 <= now.run_at <= NOON + SECOND * 2
    assert str(error) in now.last_error


def test_the_retry_after_of_the_other_system_is_respected() -> None:
    item = make_item()
    with handled_by(fail_with(outside.Unavailable("busy", retry_after=97))):  # type: ignore[arg-type]
        work.run_due(at=NOON)

    assert item.reload().run_at == NOON + SECOND * 97


def test_a_retry_after_of_a_day_holds_the_work_for_an_hour_at_most() -> None:
    item = make_item()
    with handled_by(fail_with(outside.Unavailable("busy", retry_after=86_400))):  # type: ignore[arg-type]
        work.run_due(at=NOON)

    assert item.reload().run_at == NOON + timedelta(hours=1)


def test_a_rejection_is_dead_at_once() -> None:
    item = make_item()
    with handled_by(fail_with(outside.Rejected("no such egg"))):  # type: ignore[arg-type]
        work.run_due(at=NOON)

    now = item.reload()
    assert (now.state, now.attempts, now.finished_at) == (WorkState.DEAD, 1, NOON)
    assert now.last_error == "Rejected: no such egg"


@pytest.mark.parametrize("error", [outside.Unavailable("down"), outside.Unknown("lost")], ids=lambda e: str(e))
def test_an_outage_of_any_length_never_makes_work_dead(error: Exception) -> None:
    item, at = make_item(), NOON
    with handled_by(fail_with(error)):  # type: ignore[arg-type]
        for _ in range(10 * Delivery.MAX_ATTEMPTS):
            at = max(at, item.reload().run_at)
            assert work.run_due(at=at) == 1
    assert (item.reload().state, item.reload().attempts) == (WorkState.QUEUED, 10 * Delivery.MAX_ATTEMPTS)

    with handled_by(lambda item, at: None):
        work.run_due(at=item.reload().run_at)
    assert item.reload().state == WorkState.DONE


def test_when_an_outage_ends_work_goes_on_within_minutes() -> None:
    item, at = make_item(), NOON
    with handled_by(fail_with(outside.Unavailable("down"))):  # type: ignore[arg-type]
        while at < NOON + timedelta(hours=6):
            at = max(at, item.reload().run_at)
            work.run_due(at=at)

    assert item.reload().run_at - at <= timedelta(minutes=5)


def test_after_an_outage_faults_of_ours_are_counted_from_where_they_were() -> None:
    item, at = make_item(), NOON
    errors = [outside.Unavailable("down")] * 30 + [RuntimeError("our own fault")] * Delivery.MAX_ATTEMPTS
    for error in errors:
        assert item.reload().state == WorkState.QUEUED
        with handled_by(fail_with(error)):  # type: ignore[arg-type]
            work.run_due(at=at)
        at += timedelta(hours=2)

    assert item.reload().state == WorkState.DEAD
    assert item.reload().last_error == "RuntimeError: our own fault"


def test_the_last_fault_of_ours_is_dead() -> None:
    item = make_item()
    at = NOON
    with handled_by(fail_with(RuntimeError("our own fault"))):  # type: ignore[arg-type]
        for _ in range(Delivery.MAX_ATTEMPTS):
            assert item.reload().state == WorkState.QUEUED
            work.run_due(at=at)
            at += timedelta(hours=2)

    assert (item.reload().state, item.reload().attempts) == (WorkState.DEAD, Delivery.MAX_ATTEMPTS)
    assert work.run_due(at=at) == 0


def test_an_item_that_kills_every_worker_is_dead_without_another_run() -> None:
    item, at = make_item(), NOON
    for _ in range(Delivery.MAX_ATTEMPTS):
        assert Delivery.claim(limit=1, at=at)
        at += Delivery.LEASE
    with handled_by(fail_with(AssertionError("was run"))):  # type: ignore[arg-type]
        work.run_due(at=at)

    assert item.reload().state == WorkState.DEAD
    assert item.reload().last_error.startswith("WorkerLost: 12 attempts")


def test_a_dead_row_is_retried_with_all_its_attempts() -> None:
    item = make_item(state=WorkState.DEAD, attempts=12, last_error="no", finished_at=NOON)

    assert work.retry([item], at=NOON) == 1
    assert work.retry([item], at=NOON) == 0
    with handled_by(lambda item, at: None):
        assert work.run_due(at=NOON) == 1
    assert (item.reload().state, item.reload().attempts, item.reload().last_error) == (WorkState.DONE, 1, "")


@pytest.mark.parametrize("state", [WorkState.QUEUED, WorkState.DONE])
def test_only_dead_rows_are_retried(state: WorkState) -> None:
    item = make_item(state=state, attempts=3)

    assert work.retry([item], at=NOON + SECOND) == 0
    assert (item.reload().state, item.reload().run_at, item.reload().attempts) == (state, NOON, 3)


def test_what_was_done_long_ago_is_deleted_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PURGE_BATCH", 2)
    site_settings.set_value("work.keep_done_days", 40)
    old, recent = NOON - timedelta(days=41), NOON - timedelta(days=39)
    for _ in range(5):
        make_item(state=WorkState.DONE, finished_at=old)
    kept = [
        make_item(state=WorkState.DONE, finished_at=recent),
        make_item(state=WorkState.DEAD, finished_at=old),
        make_item(run_at=old),
    ]

    assert work.purge_done(at=NOON) == 5
    assert set(Delivery.objects.values_list("pk", flat=True)) == {item.pk for item in kept}


def test_a_reschedule_is_no_failure() -> None:
    item = make_item(attempts=7, last_error="earlier trouble")
    with handled_by(lambda item, at: work.Reschedule(after=SECOND * 5)):
        work.run_due(at=NOON)

    now = item.reload()
    assert (now.state, now.run_at, now.attempts, now.last_error) == (WorkState.QUEUED, NOON + SECOND * 5, 0, "")


def test_a_failing_handler_rolls_back_only_its_own_writes() -> None:
    item, other = make_item(), make_item(run_at=NOON + SECOND)

    def half_done(_item: Delivery, *, at: object) -> None:
        with transaction.atomic():
            Delivery.objects.filter(pk=other.pk).update(subject="changed")
            raise RuntimeError("in the middle")

    with handled_by(half_done):
        work.run_due(at=NOON)

    assert other.reload().subject == "Hello"
    assert "in the middle" in item.reload().last_error


def test_a_running_row_without_a_lease_cannot_be_stored() -> None:
    with pytest.raises(IntegrityError, match="lease_iff_running"), transaction.atomic():
        make_item(state=WorkState.RUNNING)


def test_a_very_long_error_is_shortened() -> None:
    assert len(work.describe(RuntimeError("x" * 10_000))) == 2000


def test_the_sweep_handles_rows_for_which_no_worker_was_woken() -> None:
    item = make_item()
    with handled_by(lambda item, at: None):
        assert tasks.sweep() == 1
    assert item.reload().state == WorkState.DONE


def test_the_task_handles_one_table_only() -> None:
    item = make_item()
    other = next(model for model in work.registered() if model is not Delivery)
    with handled_by(lambda item, at: None):
        assert tasks.run_work(other._meta.label) == 0
        assert tasks.run_work("support.Delivery") == 1
    assert item.reload().state == WorkState.DONE


@pytest.mark.parametrize("label", ["accounts.User", "support.Nothing", "os.system"])
def test_the_task_refuses_a_model_that_is_no_work_table(label: str) -> None:
    with pytest.raises(LookupError):
        tasks.run_work(label)


def test_waking_a_worker_waits_for_the_commit(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: pytest.FixtureRequest
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(work, "_send", sent.append)
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        work.wake_worker(Delivery)
        assert sent == []

    assert sent == ["support.Delivery"]


def test_after_a_rollback_no_worker_is_woken(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: pytest.FixtureRequest
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(work, "_send", sent.append)
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():  # type: ignore[operator]
        work.wake_worker(Delivery)
        transaction.set_rollback(True)

    assert sent == []


def test_an_unreachable_queue_causes_only_a_warning(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: pytest.FixtureRequest,
) -> None:
    dead = Celery("dead", broker="redis://127.0.0.1:1/0", set_as_current=False)
    dead.conf.update(task_publish_retry=False, broker_transport_options=settings.BROKER_RETRY)
    monkeypatch.setattr(queue, "current_app", dead)
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("a page would wait for the queue"))
    with caplog.at_level(logging.WARNING), django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        item = make_item()
        work.wake_worker(Delivery)

    assert "the sweep will find support.Delivery" in caplog.text
    assert item.reload().state == WorkState.QUEUED


@pytest.mark.parametrize("joins", ["hashjoin", "mergejoin", "nestloop"])
def test_a_claim_takes_no_more_than_its_limit_however_the_planner_joins(joins: str) -> None:
    for _ in range(5):
        make_item()
    with connection.cursor() as cursor:
        for method in {"hashjoin", "mergejoin", "nestloop"} - {joins}:
            cursor.execute(f"SET LOCAL enable_{method} = off")
        cursor.execute("SET LOCAL enable_hashagg = off")
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute("SET LOCAL enable_material = off")

    assert len(Delivery.claim(limit=1, at=NOON)) == 1
    assert len(Delivery.claim(limit=2, at=NOON)) == 2
    assert Delivery.objects.filter(state=WorkState.RUNNING).count() == 3


@pytest.mark.parametrize("state", [WorkState.QUEUED, WorkState.DONE])
def test_a_claim_among_ten_thousand_reads_the_index_of_what_is_due(state: WorkState) -> None:
    make_many(10_000, state=state)
    for _ in range(3):
        make_item()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute("ANALYZE support_delivery")
        cursor.execute("SET LOCAL ROLE nodebyte_worker")
    with CaptureQueriesContext(connection) as queries:
        assert len(Delivery.claim(limit=1, at=NOON)) == 1
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {queries.captured_queries[0]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert len(queries) == 1
    assert f"Index Scan using {DUE_INDEX}" in plan
    assert "Seq Scan" not in plan
