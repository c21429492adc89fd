"""A page has as many queries for twenty-five rows as for one."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.pages.conftest import signed_in
from tests.pages.routes import NAMES, address
from tests.pages.rows import Dataset

# Statements of a page for somebody signed in; three find out the user. Those that bind the transaction do not count.
MAX_QUERIES = {
    "home": 8,
    "products": 8,
    "product": 8,
    "configurator": 18,
    "cart": 18,
    "not found": 2,
    "dashboard": 15,
    "servers": 7,
    "wallet": 17,
    "affiliate": 10,
    "pay top-up": 30,
    "subscriptions": 12,
    "cancel subscription": 11,
    "invoices": 9,
    "order": 10,
    "choose plan": 18,
    "choose payment": 27,
    "server": 15,
    "invoice": 12,
    "pay invoice": 40,
    "payment methods": 9,
}
DEFAULT_MAX = 7


def statements(dataset: Dataset, name: str) -> list[str]:
    """The second visit's queries: the first fills caches."""
    client = signed_in(dataset)
    client.get(address(name, dataset))
    with CaptureQueriesContext(connection) as asked:
        client.get(address(name, dataset))
    return [query["sql"] for query in asked.captured_queries]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_a_known_number_of_queries_however_much_it_shows(name: str, small_or_large: Dataset) -> None:
    asked = statements(small_or_large, name)

    assert len(asked) <= MAX_QUERIES.get(name, DEFAULT_MAX), "\n".join(asked)
