"""One running sandbox for all tests of the stand-ins, brought back to its start before each."""

from collections.abc import Iterator

import pytest

from sandbox import client
from sandbox.client import Sandbox
from tests.sandbox.pterodactyl_panel import PanelUnderTest
from tests.sandbox.stripe_shop import Receiver, StripeShop


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[client.Sandbox]:
    """A sandbox started for this run."""
    with client.start() as (_process, sandbox):
        yield sandbox


@pytest.fixture(scope="session")
def sandbox_url(running_sandbox: client.Sandbox) -> str:
    """The address of the sandbox of this run."""
    return running_sandbox.base_url


@pytest.fixture
def panel(running_sandbox: client.Sandbox) -> PanelUnderTest:
    """The panel stand-in with its seed and default behaviour, at the real time."""
    running_sandbox.reset()
    return PanelUnderTest(running_sandbox.base_url)


@pytest.fixture
def shop(running_sandbox: Sandbox) -> StripeShop:
    """The Stripe stand-in, empty, with quick webhook retries, and the real library pointed at it."""
    running_sandbox.reset()
    running_sandbox.stripe_settings(gaps=[0.02, 0.02, 0.02], timeout=1.0)
    return StripeShop(running_sandbox)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A web server that takes webhooks as a shop would."""
    with Receiver() as running:
        yield running
