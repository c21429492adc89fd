"""A worker is woken at the end of a short wait; the sweep finds what waited longer."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from core import outside, work
from support.models import Delivery
from tests.core.work_table import NOON, handled_by, make_item

pytestmark = pytest.mark.django_db
LABEL = "support.Delivery"
type MessagesOf = Callable[[Callable[..., work.Reschedule | None]], list[tuple[str, dict[str, float]]]]


@pytest.fixture
def messages_of(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> MessagesOf:
    """The messages sent when one item is performed by the given handler."""
    sent: list[tuple[str, dict[str, float]]] = []
    monkeypatch.setattr(work, "_send", lambda label, **when: sent.append((label, when)))

    def performed(handler: Callable[..., work.Reschedule | None]) -> list[tuple[str, dict[str, float]]]:
        make_item()
        with handled_by(handler), django_capture_on_commit_callbacks(execute=True):
            assert work.run_due(at=NOON, models=(Delivery,), limit=1) == 1
        return sent

    return performed


def test_a_short_wait_ends_with_a_message(messages_of: MessagesOf) -> None:
    assert messages_of(lambda item, at: work.Reschedule(timedelta(seconds=3))) == [(LABEL, {"countdown": 3.0})]


@pytest.mark.parametrize("after", [timedelta(0), timedelta(minutes=10)])
def test_no_wait_and_a_long_one_need_none(messages_of: MessagesOf, after: timedelta) -> None:
    assert messages_of(lambda item, at: work.Reschedule(after)) == []


def test_a_first_failure_is_tried_again_without_waiting_for_the_sweep(messages_of: MessagesOf) -> None:
    def unavailable(item: Any, at: Any) -> None:
        raise outside.Unavailable("busy", retry_after=2)

    assert messages_of(unavailable) == [(LABEL, {"countdown": 2.0})]


def test_what_is_done_sends_nothing(messages_of: MessagesOf) -> None:
    assert messages_of(lambda item, at: None) == []
