"""Durable work under several workers at once, and over a real queue."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from core import work
from core.models import WorkState
from support.models import Delivery
from tests.core.work_table import NOON, handled_by, make_item
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 8


def claim_elsewhere(taken: list[Any]) -> None:
    """Claim all rows over another connection, which must not block."""

    def claim() -> None:
        taken.extend(Delivery.claim(limit=10, at=NOON))
        connection.close()

    thread = threading.Thread(target=claim)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_each_row_is_handled_by_exactly_one_of_many_workers() -> None:
    items = [make_item() for _ in range(40)]
    handled: list[Any] = []
    with handled_by(lambda item, at: handled.append(item.pk)):
        assert run_at_once(lambda: work.run_due(at=NOON, models=(Delivery,)), times=WORKERS) == []

    assert Counter(handled) == Counter({item.pk: 1 for item in items})
    assert set(Delivery.objects.values_list("state", "attempts")) == {(WorkState.DONE, 1)}


def test_one_row_is_claimed_by_one_of_many_workers() -> None:
    make_item()
    taken: list[Any] = []
    assert run_at_once(lambda: taken.extend(Delivery.claim(limit=1, at=NOON)), times=WORKERS) == []

    assert len(taken) == 1


def test_an_expired_lease_is_taken_over_by_one_of_many_workers() -> None:
    make_item()
    Delivery.claim(limit=1, at=NOON)
    taken: list[Any] = []
    again = NOON + Delivery.LEASE
    assert run_at_once(lambda: taken.extend(Delivery.claim(limit=1, at=again)), times=WORKERS) == []

    assert [item.attempts for item in taken] == [2]


def test_a_claim_does_not_wait_for_a_row_that_another_holds() -> None:
    first, second = make_item(), make_item(run_at=NOON)
    taken: list[Any] = []
    with transaction.atomic():
        Delivery.objects.select_for_update().get(pk=first.pk)
        claim_elsewhere(taken)

    assert [item.pk for item in taken] == [second.pk]


def test_a_row_cannot_be_claimed_before_its_transaction_has_committed() -> None:
    taken: list[Any] = []
    with transaction.atomic():
        make_item()
        claim_elsewhere(taken)
        assert taken == []

    assert len(Delivery.claim(limit=1, at=NOON)) == 1


def test_the_leases_of_a_batch_are_renewed_while_it_is_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    lease = timedelta(milliseconds=300)
    monkeypatch.setattr(Delivery, "LEASE", lease)
    items = [make_item() for _ in range(3)]
    stolen: list[Delivery] = []

    def handle_slowly(batch: Sequence[Delivery], *, at: datetime) -> list[Any]:
        first = max(item.lease_until for item in batch if item.lease_until)
        deadline = time.monotonic() + 30
        while Delivery.objects.filter(lease_until__lte=first).exists():
            assert time.monotonic() < deadline
        stolen.extend(Delivery.claim(limit=3, at=NOON + lease))  # when the first lease would have ended
        return [item.pk for item in batch]

    monkeypatch.setattr(work, "_batch_handlers", {Delivery: handle_slowly})

    assert work.run_due(at=NOON, models=(Delivery,)) == 3
    assert stolen == []
    assert set(Delivery.objects.values_list("state", flat=True)) == {WorkState.DONE}
    assert Delivery.objects.count() == len(items)
