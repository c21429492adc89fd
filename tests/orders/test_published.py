"""What pages show of the catalog and of capacity: kept while nothing has changed, and never older than that."""

from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from catalog.models import Plan
from core.money import Money
from orders.storefront import offers, published
from servers.models import Allocation, Node
from tests.admin.rows import Rows
from tests.builders import make_plan, make_price
from tests.servers.builders import make_blueprint, make_provider

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    published._kept.clear()


def test_it_is_read_once_until_a_row_changes() -> None:
    Rows(1)
    reads: list[int] = []

    def read() -> list[int]:
        reads.append(1)
        return list(reads)

    assert [published.read_once("key", read) for _ in range(3)] == [[1]] * 3
    Plan.objects.update(stock=3)
    assert published.read_once("key", read) == [1, 1]
    assert published.read_once("other key", read) == [1, 1, 1]
    with translation.override("de"):
        assert published.read_once("key", read) == [1, 1, 1, 1]


def test_what_changes_while_it_is_read_is_read_again() -> None:
    Rows(1)

    def read() -> str:
        found = Plan.objects.get().name
        Plan.objects.update(name="Another")
        return found

    assert published.read_once("name", read) != "Another"
    assert published.read_once("name", read) == "Another"


@pytest.mark.parametrize("model", published.public_models(), ids=lambda model: model._meta.label)
def test_a_change_of_any_public_row_shows(model: Any) -> None:
    Rows(1)
    if model._meta.auto_created:  # a many-to-many relation: of the first row of each side
        sides = [field for field in model._meta.fields if field.remote_field]
        model._base_manager.get_or_create(**{side.name: side.related_model._base_manager.first() for side in sides})
    before = published.public_version()
    key = model._meta.pk.name
    row = model._base_manager.first()
    model._base_manager.filter(pk=row.pk).update(**{key: models.F(key)})

    assert published.public_version() != before


def test_a_free_port_more_shows_and_a_read_changes_nothing() -> None:
    Rows(1)
    before = published.public_version()
    assert published.public_version() == before
    node = Node.objects.get()
    Allocation.objects.create(node=node, ref="another", ip="203.0.113.250", port=40_000)

    assert published.public_version() != before


def test_the_version_is_one_query() -> None:
    with CaptureQueriesContext(connection) as asked:
        published.public_version()

    assert len([query for query in asked if "SAVEPOINT" not in query["sql"]]) == 1


def test_a_card_counts_the_plans_that_are_sold_and_names_the_lowest_price_of_these() -> None:
    plan = make_price(minor=900).plan
    make_blueprint(make_provider(), plan)
    make_price(make_plan(plan.product), minor=800)
    make_price(make_plan(plan.product, ports=0), minor=100)  # cannot be built
    make_price(make_plan(plan.product, is_active=False), minor=200)
    make_price(make_plan(plan.product), minor=300, currency="EUR")
    make_price(make_plan(), minor=400)  # of a product without a blueprint

    cards = {card.product: (card.plan_count, card.price) for card in offers.product_cards("USD")}

    assert cards.pop(plan.product) == (2, Money(800, "USD"))
    assert list(cards.values()) == [(0, None)]
