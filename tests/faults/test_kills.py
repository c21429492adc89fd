"""The process is really killed at each point between "pay" and "running", and the purchase ends as if it had not been.

The points of a purchase are listed: kill_points.txt where Stripe's webhooks arrive, kill_points_without_webhooks.txt
where none does and polling finds the payment. When the code gains a commit or a call to the outside, the first test
fails until the lists are recorded again (`RECORD_POINTS=1 pytest tests/faults/test_kills.py -k listed`) and reviewed.
"""

import os
from datetime import timedelta
from itertools import cycle, groupby
from pathlib import Path

import pytest
from django.db import connection

from tests.faults import forks
from tests.faults.purchase import RESTART_AFTER, DeliverWebhooks, Purchase, assert_one_of_everything, no_webhooks
from tests.shop import deliver_webhooks

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("_warm_caches")]
LISTS = {
    deliver_webhooks: Path(__file__).with_name("kill_points.txt"),
    no_webhooks: Path(__file__).with_name("kill_points_without_webhooks.txt"),
}


def _listed(webhooks: DeliverWebhooks) -> list[str]:
    return LISTS[webhooks].read_text("utf-8").splitlines() if LISTS[webhooks].exists() else []


def _without_the_middle(points: list[str]) -> list[str]:
    """Of points that follow each other and differ in their number alone, the first and the last."""
    groups = [list(group) for _name, group in groupby(points, lambda point: point.partition(" #")[0])]
    return [point for group in groups for point in dict.fromkeys((group[0], group[-1]))]


WITH_WEBHOOKS = _without_the_middle(_listed(deliver_webhooks))
# Of this database only: other tests run on the same server at the same time.
HELD_LOCKS = """SELECT count(*), pg_sleep(0.01) FROM pg_locks
    WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
ONLY_WITHOUT_WEBHOOKS = [point for point in _listed(no_webhooks) if point not in WITH_WEBHOOKS]


def _run_again(
    purchase: Purchase, *, after: timedelta = RESTART_AFTER, webhooks: DeliverWebhooks = deliver_webhooks
) -> None:
    exited = forks.run(lambda: purchase.run(after=after, deliver_webhooks=webhooks))
    assert exited.status == 0, exited.output
    assert_one_of_everything(purchase.shop)


@pytest.mark.parametrize("webhooks", [deliver_webhooks, no_webhooks])
def test_a_purchase_comes_to_exactly_the_listed_points(purchase: Purchase, webhooks: DeliverWebhooks) -> None:
    reached = forks.kill_points_of(lambda: purchase.run(deliver_webhooks=webhooks))
    if os.environ.get("RECORD_POINTS"):
        LISTS[webhooks].write_text("\n".join(reached) + "\n", "utf-8")
        pytest.skip(f"{len(reached)} points were recorded")

    assert reached == _listed(webhooks)
    assert_one_of_everything(purchase.shop)


@pytest.mark.parametrize("point", WITH_WEBHOOKS)
def test_killed_there_a_purchase_still_ends_in_one_of_everything(purchase: Purchase, point: str) -> None:
    assert forks.run_and_kill_at(point, purchase.run).was_killed

    _run_again(purchase)


def test_the_locks_of_a_killed_process_are_free_at_once(purchase: Purchase) -> None:
    (inside,) = [point for point in WITH_WEBHOOKS if point.startswith("POST /pterodactyl/api/application/servers ")]
    assert forks.run_and_kill_at(inside, purchase.run).was_killed  # it held the server's own lock just then

    for _ in range(100):
        with connection.cursor() as cursor:
            cursor.execute(HELD_LOCKS)
            if not cursor.fetchone()[0]:
                return
    pytest.fail("the database still holds a dead process's lock after a second")


@pytest.mark.parametrize("point", ONLY_WITHOUT_WEBHOOKS)
def test_killed_there_without_any_webhook_it_still_does(purchase: Purchase, point: str) -> None:
    assert forks.run_and_kill_at(point, lambda: purchase.run(deliver_webhooks=no_webhooks)).was_killed

    _run_again(purchase, webhooks=no_webhooks)


@pytest.mark.parametrize(("point", "number"), list(zip(WITH_WEBHOOKS[2:-12:6], cycle([1, 4, 9]), strict=False)))
def test_killed_there_and_killed_again_while_recovering_it_still_does(
    purchase: Purchase, point: str, number: int
) -> None:
    assert forks.run_and_kill_at(point, purchase.run).was_killed
    assert forks.run_and_kill_after(number, lambda: purchase.run(after=RESTART_AFTER)).was_killed

    _run_again(purchase, after=2 * RESTART_AFTER)
