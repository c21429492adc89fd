"""Two tenants of one shop."""

import pytest

from tests.admin.conftest import no_menu
from tests.isolation.tenants import Dataset, Tenant, make_dataset, make_tenant

__all__ = ["no_menu"]  # a fixture


@pytest.fixture
def dataset(db: None) -> Dataset:
    """What is sold and where its servers are placed."""
    return make_dataset()


@pytest.fixture
def ada(dataset: Dataset) -> Tenant:
    """One customer."""
    return make_tenant(dataset, "ada7f3")


@pytest.fixture
def bob(dataset: Dataset) -> Tenant:
    """Another."""
    return make_tenant(dataset, "bob91c")
