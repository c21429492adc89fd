"""The shop of the tests of orders and the time they keep."""

import pytest

from sandbox.client import Sandbox
from tests.shop import Clock, Shop, make_shop


@pytest.fixture
def shop(stripe_sandbox: Sandbox, transactional_db: None) -> Shop:
    return make_shop(stripe_sandbox)


@pytest.fixture
def clock(shop: Shop) -> Clock:
    return Clock(shop.sandbox)
