"""The stand-ins for outside systems: one process for each pytest worker, reset for each test."""

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox import client
from sandbox.client import Sandbox

STRIPE_KEY = "sk_test_sandbox"
WEBHOOK_SECRET = "whsec_nodebyte_test_secret"


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[Sandbox]:
    """A sandbox started for this run."""
    with client.start() as (_process, running):
        yield running


@pytest.fixture
def sandbox(sandbox_process: Sandbox) -> Sandbox:
    """Every stand-in as at its start: seeded, at the real time, without faults."""
    sandbox_process.reset()
    return sandbox_process


@pytest.fixture
def stripe_sandbox(sandbox: Sandbox, settings: Any) -> Sandbox:
    """The stand-ins, with our settings pointed at Stripe's, and quick webhook retries."""
    settings.STRIPE_API_BASE = sandbox.stripe_url
    settings.STRIPE_SECRET_KEY = STRIPE_KEY
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    sandbox.stripe_settings(gaps=[0.02, 0.02, 0.02], timeout=10.0)
    return sandbox
