"""The shops of the stories about money: at Stripe, and in rupiah at a gateway that works as Tripay does."""

import pytest

from sandbox.client import Sandbox
from tests import shop as shops
from tests.gateways.adapters import Tripay
from tests.gateways.conftest import tripay, tripay_stand_in  # noqa: F401
from tests.shop import Clock, Shop, make_shop


@pytest.fixture
def shop(stripe_sandbox: Sandbox) -> Shop:
    made = make_shop(stripe_sandbox)
    shops.allow_unpaid_orders()
    return made


@pytest.fixture
def clock(shop: Shop) -> Clock:
    return Clock(shop.sandbox)


@pytest.fixture
def rupiah(sandbox: Sandbox, tripay: Tripay) -> Shop:  # noqa: F811
    made = make_shop(sandbox, minor=tripay.minor, currency=tripay.currency)
    made.organization.currency = tripay.currency
    made.organization.save()
    shops.allow_unpaid_orders()
    return made
