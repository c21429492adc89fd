"""The shop that stories about faults take place in: built once for a file, and brought back before each test."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from core.ids import uuid7
from sandbox.client import Sandbox
from tests import emptying
from tests.faults.purchase import Purchase
from tests.shop import Shop, make_shop
from tests.stand_ins import STRIPE_KEY, WEBHOOK_SECRET

STANDING = "standing"  # the schema that keeps the shop as it was built


@pytest.fixture(scope="module")
def standing_shop(sandbox_process: Sandbox, django_db_setup: None, django_db_blocker: Any) -> Iterator[Shop]:
    """A shop with a customer, its panel synced; noted so that each test can have it as new."""
    sandbox_process.reset()
    with django_db_blocker.unblock():
        emptying.empty()
        shop = make_shop(sandbox_process)
        emptying.set_aside(STANDING)
        yield shop
        emptying.empty()


@pytest.fixture
def shop(standing_shop: Shop, settings: Any, django_db_blocker: Any) -> Iterator[Shop]:
    """The shop as it was built, its stand-ins as at their start."""
    settings.STRIPE_API_BASE = standing_shop.sandbox.stripe_url
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = STRIPE_KEY, WEBHOOK_SECRET
    standing_shop.sandbox.reset()
    with django_db_blocker.unblock():
        emptying.empty(to=STANDING)
        yield standing_shop


@pytest.fixture
def purchase(shop: Shop) -> Purchase:
    """A purchase about to be made."""
    return Purchase(shop, token=uuid7(), began_at=datetime.now(tz=UTC).replace(microsecond=0))
