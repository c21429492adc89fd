"""A page answers htmx with its part and everyone else with the whole."""

from collections.abc import Iterator

import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django_htmx.middleware import HtmxDetails

from core.pages import render_part

PAGE = "whole[{% partialdef part inline %}part of {{ name }}{% endpartialdef %}]"
ENGINE = {
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", {"page.html": PAGE})]},
}


@pytest.fixture(autouse=True)
def _one_page() -> Iterator[None]:
    with override_settings(TEMPLATES=[ENGINE]):
        yield


def asked(**headers: str) -> HttpRequest:
    request = RequestFactory().get("/", headers=headers)
    request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
    return request


def test_a_browser_gets_the_whole_page() -> None:
    response = render_part(asked(), "page.html", "part", {"name": "it"})
    assert response.content == b"whole[part of it]"


def test_htmx_gets_the_part_with_the_status_asked_for() -> None:
    response = render_part(asked(hx_request="true"), "page.html", "part", {"name": "it"}, status=422)
    assert (response.status_code, response.content) == (422, b"part of it")


def test_a_history_restore_gets_the_whole_page() -> None:
    request = asked(hx_request="true", hx_history_restore_request="true")
    assert render_part(request, "page.html", "part", {"name": "it"}).content == b"whole[part of it]"


def test_a_cache_keeps_page_and_part_apart() -> None:
    assert render_part(asked(), "page.html", "part", {})["Vary"] == "HX-Request"
