"""The shop of the scenarios, with emails sent over SMTP."""

from dataclasses import replace
from typing import Any

import pytest

from sandbox.client import Sandbox
from tests import database_reset
from tests.shop import Clock, Shop, make_shop


@pytest.fixture
def shop(stripe_sandbox: Sandbox, transactional_db: None, settings: Any, request: pytest.FixtureRequest) -> Shop:
    """The shop, its stand-ins, and SMTP between them."""
    options = {"host": "127.0.0.1", "port": stripe_sandbox.smtp_port, "timeout": 5}
    settings.MAILERS = {
        "default": {"BACKEND": "support.email.QueuedBackend"},
        "delivery": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options},
    }
    made = database_reset.build_once("shop", request.module.__name__, lambda: make_shop(stripe_sandbox))
    return replace(made, sandbox=stripe_sandbox)


@pytest.fixture
def clock(shop: Shop) -> Clock:
    """The story's time."""
    return Clock(shop.sandbox)
