"""The process is really killed at each point between "pay" and "running", and the purchase ends as if it had not been.

The points are listed in points.txt. Where the code gains a commit or a call to the outside, the first test fails until
the list is written anew: `RECORD_POINTS=1 pytest tests/faults/test_kills.py -k listed`, and its difference read.
"""

import os
from pathlib import Path

import pytest

from tests.faults import children
from tests.faults.purchase import WHILE_DEAD, Purchase, assert_one_of_everything

pytestmark = pytest.mark.faults
LIST = Path(__file__).with_name("points.txt")
POINTS = LIST.read_text("utf-8").splitlines() if LIST.exists() else []


def test_a_purchase_comes_to_exactly_the_listed_points(purchase: Purchase) -> None:
    reached = children.points_of(purchase.tell)
    if os.environ.get("RECORD_POINTS"):
        LIST.write_text("\n".join(reached) + "\n", "utf-8")
        pytest.skip(f"{len(reached)} points were recorded")

    assert reached == POINTS
    assert_one_of_everything(purchase.shop)


@pytest.mark.parametrize("point", POINTS)
def test_killed_there_the_purchase_still_ends_in_one_of_everything(purchase: Purchase, point: str) -> None:
    assert children.killed_at(point, purchase.tell).was_killed

    again = children.run(lambda: purchase.tell(late=WHILE_DEAD))

    assert again.status == 0, again.said
    assert_one_of_everything(purchase.shop)
