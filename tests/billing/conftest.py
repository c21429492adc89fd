"""Shared by billing's tests."""

from collections.abc import Iterator

import pytest

from core.outside.limits import reset_limits


@pytest.fixture(autouse=True)
def _reset_host_limits() -> Iterator[None]:
    """A breaker that one test opened must not stay open for the next."""
    reset_limits()
    yield
    reset_limits()
