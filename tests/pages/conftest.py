"""A customer with everything, built once for a file: its tests only read, and pages run in their real transactions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import Client

from tests import database_reset
from tests.pages.rows import Dataset, make_dataset

MANY = 25


@pytest.fixture(scope="module")
def datasets(django_db_setup: None, django_db_blocker: Any) -> Callable[[int], Any]:
    """A context in which there are so many of everything."""

    @contextmanager
    def made(number: int) -> Iterator[Dataset]:
        with django_db_blocker.unblock():
            database_reset.reset()
            yield make_dataset(number)
            database_reset.reset()

    return made


@pytest.fixture(scope="module")
def dataset(datasets: Callable[[int], Any]) -> Iterator[Dataset]:
    """One of everything."""
    with datasets(1) as made:
        yield made


@pytest.fixture(scope="module", params=[1, MANY], ids=["one row", "many rows"])
def small_or_large(request: pytest.FixtureRequest, datasets: Callable[[int], Any]) -> Iterator[Dataset]:
    """One of everything, and then twenty-five."""
    with datasets(request.param) as made:
        yield made


@pytest.fixture
def visitor() -> Client:
    """Somebody without an account."""
    return Client()


@pytest.fixture
def owner(dataset: Dataset) -> Client:
    """The customer's browser."""
    return signed_in(dataset)


def signed_in(dataset: Dataset) -> Client:
    """A browser in which the customer is signed in."""
    client = Client()
    client.force_login(dataset.customer)
    client.cookies["cart"] = dataset.cart
    return client
