"""Fixtures of the tests about servers: a connected panel, and circuit breakers that are closed before each test."""

import pytest
from django.core.cache import cache

from sandbox.client import Sandbox
from servers.models import Provider
from tests import database_reset
from tests.servers.actions import control
from tests.servers.builders import connect_panel


@pytest.fixture
def panel(sandbox: Sandbox) -> Sandbox:
    """The stand-in panel, with installs and boots that take no time and usage that is not cached."""
    control(sandbox, "settings", {"install_seconds": 0, "power_seconds": 0, "stats_cache_seconds": 0})
    return sandbox


@pytest.fixture
def provider(panel: Sandbox, transactional_db: None, request: pytest.FixtureRequest) -> Provider:
    """The stand-in panel as a provider, synced."""
    cache.clear()
    return database_reset.build_once("provider", request.module.__name__, lambda: connect_panel(panel))
