"""What search engines and link previews get, and what every answer does for slow connections."""

import gzip
import re

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from core import site_settings
from nodebyte import pages
from tests.pages.conftest import signed_in
from tests.pages.routes import address
from tests.pages.rows import Dataset

PREVIEWED = ("home", "products", "product")


def test_crawlers_leave_out_private_pages_and_find_the_sitemap(visitor: Client, dataset: Dataset) -> None:
    response = visitor.get("/robots.txt")
    rules = response.content.decode().splitlines()

    assert response["Content-Type"].startswith("text/plain")
    assert "Sitemap: http" in response.content.decode()
    hidden = [line.removeprefix("Disallow: ") for line in rules if line.startswith("Disallow: ")]
    for name in ("dashboard", "servers", "invoices", "order", "server", "invoice", "profile", "log in"):
        assert any(address(name, dataset).startswith(path) for path in hidden), name
    assert not any(address(name, dataset).startswith(path) for path in hidden for name in PREVIEWED)


def test_the_sitemap_lists_what_is_for_sale(visitor: Client, dataset: Dataset) -> None:
    with override_settings(SITE_URL="https://shop.example"):
        page = visitor.get("/sitemap.xml").content.decode()

    found = re.findall("<loc>([^<]+)</loc>", page)
    assert found[:2] == ["https://shop.example/", "https://shop.example/products/"]
    assert f"https://shop.example{address('product', dataset)}" in found


@pytest.mark.parametrize("name", PREVIEWED)
def test_a_link_to_a_public_page_has_a_preview(visitor: Client, dataset: Dataset, name: str) -> None:
    page = visitor.get(address(name, dataset) + "?utm=1").content.decode()

    previews = dict(re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', page))
    assert previews["url"].endswith(address(name, dataset))
    assert len(previews["title"]) > 5
    assert len(previews["description"]) > 20
    assert f'<link rel="canonical" href="{previews["url"]}">' in page


def test_the_icon_is_also_where_browsers_guess_it(visitor: Client) -> None:
    assert visitor.get("/favicon.ico")["Location"].endswith("favicon.svg")


@pytest.mark.parametrize("name", ["home", "server"])
def test_pages_are_compressed_for_browsers_that_ask(dataset: Dataset, name: str) -> None:
    response = signed_in(dataset).get(address(name, dataset), headers={"Accept-Encoding": "gzip"})

    assert response["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in response["Vary"]
    assert b"<main" in gzip.decompress(response.content)


def test_a_compressed_page_never_holds_the_same_token_twice(visitor: Client) -> None:
    """BREACH guesses a secret from the size of many answers; a secret that changes with each cannot be guessed so."""
    token = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
    url = reverse("account_login")
    found = [token.findall(visitor.get(url).content.decode())[0] for _ in range(3)]

    assert len(set(found)) == 3


def test_the_page_for_our_own_faults_has_the_shops_brand_without_a_database(
    visitor: Client, dataset: Dataset, rf: object, django_assert_num_queries: object
) -> None:
    site_settings.set_value("shop.name", "Lantern Hosting")
    site_settings.set_value("shop.brand_hue", 30)
    visitor.get("/")  # reads the settings

    with django_assert_num_queries(0):  # type: ignore[operator]
        response = pages.server_error(rf.get("/"))  # type: ignore[attr-defined]

    page = response.content.decode()
    assert response.status_code == 500
    assert "Lantern Hosting" in page
    assert "hue=30" in page
    assert "NodeByte" not in page
