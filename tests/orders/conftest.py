"""The shop of the tests of orders and the time they keep."""

from dataclasses import replace

import pytest

from sandbox.client import Sandbox
from tests import database_reset
from tests.shop import Clock, Shop, make_shop


@pytest.fixture
def shop(stripe_sandbox: Sandbox, transactional_db: None, request: pytest.FixtureRequest) -> Shop:
    made = database_reset.build_once("shop", request.module.__name__, lambda: make_shop(stripe_sandbox))
    return replace(made, sandbox=stripe_sandbox)


@pytest.fixture
def clock(shop: Shop) -> Clock:
    return Clock(shop.sandbox)
