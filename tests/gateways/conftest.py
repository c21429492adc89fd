"""The gateways that the suite runs against."""

from collections.abc import Iterator

import pytest

from billing.gateways import base
from tests.gateways import tripay_sandbox
from tests.gateways.adapters import Adapter, Stripe, Tripay
from tests.gateways.tripay import TripayDriver

base.register("tripay", TripayDriver)


@pytest.fixture
def tripay() -> Iterator[Tripay]:
    """An account at a Tripay of its own."""
    with tripay_sandbox.running() as sandbox:
        yield Tripay(sandbox)


@pytest.fixture(params=["stripe_sandbox", "tripay"])
def gateway(request: pytest.FixtureRequest) -> Adapter:
    """Each gateway in turn."""
    found = request.getfixturevalue(request.param)
    return Stripe(found) if request.param == "stripe_sandbox" else found
