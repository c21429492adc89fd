"""Shared by billing's tests."""

from collections.abc import Iterator

import pytest

from core.outside.gate import forget_gates


@pytest.fixture(autouse=True)
def _forgiving_gates() -> Iterator[None]:
    """A breaker that one test opened must not stay open for the next."""
    forget_gates()
    yield
    forget_gates()
