"""Work that has to wait a little has a worker come just then; longer waits are the sweep's."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from core import outside, work
from support.models import Delivery
from tests.core.work_table import NOON, handled_by, make_item

pytestmark = pytest.mark.django_db
LABEL = "support.Delivery"
type Nudges = Callable[[Callable[..., work.Reschedule | None]], list[tuple[str, dict[str, float]]]]


@pytest.fixture
def nudges_after(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> Nudges:
    """Performs one item by the handler and tells what went to the queue for it."""
    sent: list[tuple[str, dict[str, float]]] = []
    monkeypatch.setattr(work, "_send", lambda label, **when: sent.append((label, when)))

    def performed(handler: Callable[..., work.Reschedule | None]) -> list[tuple[str, dict[str, float]]]:
        make_item()
        with handled_by(handler), django_capture_on_commit_callbacks(execute=True):
            assert work.run_due(at=NOON, models=(Delivery,), limit=1) == 1
        return sent

    return performed


def test_a_short_wait_ends_with_a_nudge(nudges_after: Nudges) -> None:
    assert nudges_after(lambda item, at: work.Reschedule(timedelta(seconds=3))) == [(LABEL, {"countdown": 3.0})]


@pytest.mark.parametrize("after", [timedelta(0), timedelta(minutes=10)])
def test_no_wait_and_a_long_one_need_none(nudges_after: Nudges, after: timedelta) -> None:
    assert nudges_after(lambda item, at: work.Reschedule(after)) == []


def test_a_first_failure_is_tried_again_without_waiting_for_the_sweep(nudges_after: Nudges) -> None:
    def unavailable(item: Any, at: Any) -> None:
        raise outside.Unavailable("busy", retry_after=2)

    assert nudges_after(unavailable) == [(LABEL, {"countdown": 2.0})]


def test_what_is_done_sends_nothing(nudges_after: Nudges) -> None:
    assert nudges_after(lambda item, at: None) == []
