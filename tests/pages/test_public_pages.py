"""What visitors get from memory: the same page as from the database, never somebody's own, and never old for long."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.models import Product
from nodebyte import public_pages
from tests.pages.conftest import signed_in
from tests.pages.routes import address
from tests.pages.rows import Dataset

KEPT = ("home", "products", "product")


@pytest.fixture(autouse=True)
def _pages_are_kept(settings: Any, django_db_blocker: Any) -> Iterator[None]:
    settings.PUBLIC_PAGES_ARE_KEPT = True
    with django_db_blocker.unblock():
        yield
        connections.close_all()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The seconds that the kept pages believe have passed."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(public_pages, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(path).status_code == 200
    return len(asked)


@pytest.mark.parametrize("name", KEPT)
def test_the_second_visitor_costs_no_query_and_gets_what_the_database_says(
    name: str, dataset: Dataset, clock: SimpleNamespace, settings: Any
) -> None:
    client, path = Client(), address(name, dataset)

    assert queries(client, path) > 0
    assert queries(client, path) == 0
    kept = client.get(path)
    settings.PUBLIC_PAGES_ARE_KEPT = False
    rendered = Client().get(path)
    assert kept.content == rendered.content
    added = {"ETag", "Cache-Control"}
    assert {name: kept[name] for name in kept.headers if name not in added} == dict(rendered.headers)


@pytest.mark.parametrize("name", KEPT)
def test_a_browser_that_has_the_page_is_told_so(name: str, dataset: Dataset, clock: SimpleNamespace) -> None:
    client, path = Client(), address(name, dataset)
    etag = client.get(path, HTTP_ACCEPT_ENCODING="gzip")["ETag"]
    clock.now += 2

    again = client.get(path, HTTP_ACCEPT_ENCODING="gzip", HTTP_IF_NONE_MATCH=etag)

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    assert again["Cache-Control"] == "no-cache"
    assert "Cookie" in again["Vary"]


@pytest.mark.parametrize("name", KEPT)
def test_nobody_gets_a_signed_in_users_page_nor_they_a_visitors(
    name: str, dataset: Dataset, clock: SimpleNamespace
) -> None:
    visitor, path = Client(), address(name, dataset)
    customer = signed_in(dataset)
    customer.handler = visitor.handler  # one process answers both
    for client, is_own in [(visitor, False), (customer, True), (visitor, False), (customer, True)]:
        page = client.get(path)

        assert ("Your servers" in page.content.decode()) == is_own
        assert page["Cache-Control"] == ("private, no-store" if is_own else "no-cache")


def test_a_customers_page_is_not_kept_for_the_visitor_who_comes_next(dataset: Dataset, clock: SimpleNamespace) -> None:
    customer, visitor = signed_in(dataset), Client()
    visitor.handler = customer.handler

    assert "Your servers" in customer.get("/").content.decode()
    assert "Your servers" not in visitor.get("/").content.decode()


def test_a_change_shows_within_the_stated_seconds(dataset: Dataset, clock: SimpleNamespace) -> None:
    client, path = Client(), address("product", dataset)
    client.get(path)
    Product.objects.filter(pk=dataset.product.pk).update(name="Renamed game")
    try:
        clock.now += public_pages.FRESH_SECONDS - 0.1
        assert "Renamed game" not in client.get(path).content.decode()

        clock.now += 0.2
        assert "Renamed game" in client.get(path).content.decode()
    finally:
        Product.objects.filter(pk=dataset.product.pk).update(name=dataset.product.name)


def test_a_new_page_pushes_out_what_was_rendered_longest_ago_and_a_made_up_address_nothing(
    dataset: Dataset, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_pages, "MAX_PAGES", 2)
    client, path = Client(), reverse("storefront:products")
    client.get(f"{path}?category=sandbox")
    client.get(path)
    clock.now += public_pages.MAX_AGE_SECONDS + 1
    client.get(f"{path}?category=sandbox")

    client.cookies["theme"] = "dark"
    client.get(path)
    made_up = client.get(f"{path}?category=a")

    assert [(key[1], key[3]) for key in middleware(client).pages] == [("category=sandbox", ""), ("", "dark")]
    assert made_up.status_code == 404


def test_an_old_page_is_shown_only_while_another_thread_renders_it_and_not_for_long(
    dataset: Dataset, clock: SimpleNamespace
) -> None:
    client, path = Client(), address("product", dataset)
    client.get(path)
    (page,) = middleware(client).pages.values()
    page.is_renewing = True

    clock.now += public_pages.MAX_AGE_SECONDS - 0.1
    assert queries(client, path) == 0
    clock.now += 0.2
    assert queries(client, path) > 0


def test_a_page_that_is_no_longer_there_is_not_shown_from_memory(dataset: Dataset, clock: SimpleNamespace) -> None:
    client, path = Client(), address("product", dataset)
    client.get(path)
    Product.objects.filter(pk=dataset.product.pk).update(is_active=False)
    try:
        clock.now += public_pages.FRESH_SECONDS
        assert [client.get(path).status_code for _ in range(2)] == [404, 404]
    finally:
        Product.objects.filter(pk=dataset.product.pk).update(is_active=True)


@pytest.mark.parametrize(
    "request_headers",
    [{"HTTP_COOKIE": "messages=x"}, {"HTTP_COOKIE": "sessionid=unknown"}, {"HTTP_HX_REQUEST": "true"}],
    ids=["a message", "a session", "a part of a page"],
)
def test_what_may_be_for_one_reader_comes_from_the_views(
    request_headers: dict[str, str], dataset: Dataset, clock: SimpleNamespace
) -> None:
    client = Client()
    client.get("/")
    with CaptureQueriesContext(connection) as asked:
        client.get("/", **request_headers)  # type: ignore[arg-type]

    assert len(asked) > 0


def test_each_theme_and_category_has_its_page_and_other_parameters_none(
    dataset: Dataset, clock: SimpleNamespace
) -> None:
    client, path = Client(), reverse("storefront:products")
    for address_or_theme in ("light", "dark", "pink"):
        client.cookies["theme"] = address_or_theme
        assert ('data-theme="dark"' in client.get(path).content.decode()) == (address_or_theme == "dark")
    client.get(f"{path}?category=sandbox")
    client.get(f"{path}?utm_source=a")
    client.get(reverse("account_login"))

    assert {(key[1], key[3]) for key in middleware(client).pages} == {
        ("", "light"),
        ("", "dark"),
        ("", ""),
        ("category=sandbox", ""),
    }


def test_a_host_that_is_not_ours_is_refused_for_a_kept_page_too(dataset: Dataset, clock: SimpleNamespace) -> None:
    client = Client()
    client.get("/")

    assert client.get("/", HTTP_HOST="elsewhere.example").status_code == 400


def middleware(client: Client) -> public_pages.PublicPagesMiddleware:
    """The one that this client's requests pass."""
    found: Any = client.handler._middleware_chain  # type: ignore[attr-defined]
    while not isinstance(found, public_pages.PublicPagesMiddleware):
        found = getattr(found, "__wrapped__", None) or found.get_response
    return found
