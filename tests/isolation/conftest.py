"""Two tenants of one shop."""

import pytest

from tests.isolation.tenants import Dataset, Tenant, make_dataset, make_tenant


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
