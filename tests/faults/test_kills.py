"""The process is really killed at each point between "pay" and "running", and the purchase ends as if it had not been.

The points of a purchase are listed: points.txt where Stripe's webhooks arrive, points_unheard.txt where none does and
polling finds the money. Where the code gains a commit or a call to the outside, the first test fails until the lists
are written anew (`RECORD_POINTS=1 pytest tests/faults/test_kills.py -k listed`) and the difference is read.
"""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from tests.faults import children
from tests.faults.purchase import WHILE_DEAD, Hear, Purchase, assert_one_of_everything, deaf
from tests.shop import hear

pytestmark = pytest.mark.faults
LISTS = {hear: Path(__file__).with_name("points.txt"), deaf: Path(__file__).with_name("points_unheard.txt")}


def _listed(hearing: Hear) -> list[str]:
    return LISTS[hearing].read_text("utf-8").splitlines() if LISTS[hearing].exists() else []


HEARD = _listed(hear)
ONLY_UNHEARD = [point for point in _listed(deaf) if point not in HEARD]


def _retold(purchase: Purchase, *, late: timedelta = WHILE_DEAD, hearing: Hear = hear) -> None:
    again = children.run(lambda: purchase.tell(late=late, hear=hearing))
    assert again.status == 0, again.said
    assert_one_of_everything(purchase.shop)


@pytest.mark.parametrize("hearing", [hear, deaf])
def test_a_purchase_comes_to_exactly_the_listed_points(purchase: Purchase, hearing: Hear) -> None:
    reached = children.points_of(lambda: purchase.tell(hear=hearing))
    if os.environ.get("RECORD_POINTS"):
        LISTS[hearing].write_text("\n".join(reached) + "\n", "utf-8")
        pytest.skip(f"{len(reached)} points were recorded")

    assert reached == _listed(hearing)
    assert_one_of_everything(purchase.shop)


@pytest.mark.parametrize("point", HEARD)
def test_killed_there_a_purchase_still_ends_in_one_of_everything(purchase: Purchase, point: str) -> None:
    assert children.killed_at(point, purchase.tell).was_killed

    _retold(purchase)


def test_the_locks_of_a_killed_process_are_free_at_once(purchase: Purchase) -> None:
    (inside,) = [point for point in HEARD if point.startswith("POST /pterodactyl/api/application/servers ")]
    assert children.killed_at(inside, purchase.tell).was_killed  # it held the server's own lock just then

    for _ in range(100):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*), pg_sleep(0.01) FROM pg_locks WHERE locktype = 'advisory'")
            if not cursor.fetchone()[0]:
                return
    pytest.fail("the database still holds a dead process's lock after a second")


@pytest.mark.parametrize("point", ONLY_UNHEARD)
def test_killed_there_and_no_webhook_heard_it_still_does(purchase: Purchase, point: str) -> None:
    assert children.killed_at(point, lambda: purchase.tell(hear=deaf)).was_killed

    _retold(purchase, hearing=deaf)


@pytest.mark.parametrize("number", [1, 4, 9])
@pytest.mark.parametrize("point", HEARD[2:-12:6])
def test_killed_there_and_killed_again_while_recovering_it_still_does(
    purchase: Purchase, point: str, number: int
) -> None:
    assert children.killed_at(point, purchase.tell).was_killed
    assert children.killed_after(number, lambda: purchase.tell(late=WHILE_DEAD)).was_killed

    _retold(purchase, late=2 * WHILE_DEAD)
