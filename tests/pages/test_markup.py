"""Every page is sound HTML: one heading, a title of its own, labels, each id once, forms that need no script."""

import pytest
from django.test import Client

from tests.pages.conftest import signed_in
from tests.pages.markup import Outline, outline_of
from tests.pages.routes import NAMES, PUBLIC, address
from tests.pages.rows import Dataset

INDEXED = ("home", "products", "product")


def outline(name: str, dataset: Dataset) -> Outline:
    client = signed_in(dataset) if name not in PUBLIC else Client()
    return outline_of(client.get(address(name, dataset)).content.decode())


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_sound(name: str, dataset: Dataset) -> None:
    page = outline(name, dataset)

    assert page.language == "en"
    assert page.headings.count("h1") == 1
    assert page.headings[0] == "h1" or name == "product"
    assert page.unlabelled == []
    assert [name for name, times in page.ids.items() if times > 1] == []
    assert page.tags["main"] == 1
    assert "viewport" in page.named


def test_no_two_pages_have_the_same_title(dataset: Dataset) -> None:
    titles = [" ".join(outline(name, dataset).title.split()) for name in NAMES]

    assert all(title.endswith(" · NodeByte") and len(title) > len(" · NodeByte") for title in titles)
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", INDEXED)
def test_a_page_for_search_engines_has_a_description(name: str, dataset: Dataset) -> None:
    assert len(outline(name, dataset).named.get("description", "")) > 10


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_done_by_forms_and_links(name: str, dataset: Dataset) -> None:
    """Without JavaScript nothing is lost: each form is sent by the browser, with the token that its view asks for."""
    page = outline(name, dataset)

    assert all(form.get("method") == "post" and "hx-post" not in form for form in page.forms)
    assert page.tokens == len(page.forms)
