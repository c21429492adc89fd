"""Shared by core's tests."""

from collections.abc import Iterator

import pytest

from core import site_settings


@pytest.fixture(autouse=True)
def _no_remembered_settings() -> Iterator[None]:
    """What a case rolled back must not be remembered by the next."""
    site_settings.forget()
    yield
    site_settings.forget()
