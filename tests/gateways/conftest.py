"""The gateways that the suite runs against."""

from collections.abc import Iterator
from typing import Any

import pytest

from billing.gateways.paypal.client import TOKENS
from sandbox.paypal import build as build_paypal
from sandbox.tripay import build as build_tripay
from tests.gateways import stand_in
from tests.gateways.adapters import Adapter, PayPal, Stripe, Tripay
from tests.gateways.stand_in import StandIn


@pytest.fixture(scope="session")
def tripay_stand_in() -> Iterator[StandIn]:
    """Tripay in this process."""
    with stand_in.running(build_tripay) as running:
        yield running


@pytest.fixture
def tripay(tripay_stand_in: StandIn, settings: Any) -> Tripay:
    """An account at a Tripay as at its start."""
    tripay_stand_in.reset()
    settings.TRIPAY_API_BASE = tripay_stand_in.url
    return Tripay(tripay_stand_in)


@pytest.fixture(scope="session")
def paypal_stand_in() -> Iterator[StandIn]:
    """PayPal in this process."""
    with stand_in.running(build_paypal) as running:
        yield running


@pytest.fixture
def paypal(paypal_stand_in: StandIn, settings: Any) -> PayPal:
    """An account at a PayPal as at its start."""
    paypal_stand_in.reset()
    TOKENS.clear()
    settings.PAYPAL_API_BASE = paypal_stand_in.url
    return PayPal(paypal_stand_in)


@pytest.fixture(params=["stripe_sandbox", "tripay", "paypal"])
def gateway(request: pytest.FixtureRequest) -> Adapter:
    """Each gateway in turn."""
    found = request.getfixturevalue(request.param)
    return Stripe(found) if request.param == "stripe_sandbox" else found
