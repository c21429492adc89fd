"""Every page of the product, in every state: accessible, within its CSP, without errors or foreign requests."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.test.utils import override_settings
from playwright.sync_api import Browser, Page

from sandbox.client import Sandbox
from tests import database_reset
from tests.browser import pictures
from tests.browser.gallery import Gallery, make_gallery
from tests.browser.looks import DESKTOP, DESKTOP_DARK, PHONE, PHONE_DARK, Window
from tests.browser.views import NAMES, View, views
from tests.browser.web import Web
from tests.sandbox_fixtures import STRIPE_KEY, WEBHOOK_SECRET

LOOKS = (DESKTOP, DESKTOP_DARK, PHONE, PHONE_DARK)  # a mouse after a finger is seen by the next page only
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def gallery(shop_process: Web, sandbox_process: Sandbox, django_db_blocker: Any) -> Iterator[Gallery]:
    """A shop with something in every state, built once for this file."""
    sandbox_process.reset()
    stripe = {"STRIPE_API_BASE": sandbox_process.stripe_url, "STRIPE_SECRET_KEY": STRIPE_KEY}
    with django_db_blocker.unblock(), override_settings(**stripe, STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET):
        database_reset.reset()
        try:
            yield make_gallery(sandbox_process)
        finally:
            database_reset.reset()  # also closes the connection, which is lost once the browser is gone


@pytest.fixture(scope="module")
def window(browser: Browser, shop_process: Web) -> Iterator[Window]:
    """One window for all pages."""
    with closing(Window(browser, shop_process)) as opened:
        yield opened


@pytest.mark.timeout(400)  # the first one waits for the gallery
@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_accessible_and_without_errors(window: Window, gallery: Gallery, name: str) -> None:
    """In one look, by turns, because pages share their styles; in all four where pictures are wanted.

    What is done on a page is done anew in each look. None is wider than a phone.
    """
    view, number = views(gallery)[name], NAMES.index(name)
    wanted = LOOKS if pictures.are_wanted() else (LOOKS[number % len(LOOKS)],)
    for looks in [wanted] if view.act is None else [(look,) for look in wanted]:
        with window.opened(gallery, view, looks[0]) as monitor:
            for look in looks:
                window.change(look)
                assert window.has(look)
                assert barriers(window.page) == [], look
                assert window.page.evaluate(SIDEWAYS) <= 0, f"the page scrolls sideways: {look}"
                assert window.page.locator("h1").count() == 1
                pictures.take(window, name, look)  # last, because it takes a phone's touch away
            window.change(PHONE)
            assert window.page.evaluate(SIDEWAYS) <= 0, "the page scrolls sideways on a phone"
            assert monitor.problems == []


def test_a_member_with_view_access_to_one_server_sees_that_server_and_no_button_for_it(
    window: Window, gallery: Gallery
) -> None:
    address = gallery.addresses["server running"]
    pages = {name: View(name, name, "member") for name in ("/dashboard/", "/servers/", address)}
    shown = {}
    for name, view in pages.items():
        with window.opened(gallery, view, DESKTOP) as monitor:
            assert barriers(window.page) == [], name
            assert monitor.problems == [], name
            shown[name] = window.page.locator("main").inner_text()
            buttons = window.page.locator("main").locator("form, dialog, [type=submit]")
            assert [button.inner_text() for button in buttons.all()] == [], name

    assert "lantern-smp" in shown["/servers/"]
    assert "lantern-smp" in shown[address]
    assert not [name for name, text in shown.items() if "Night shift" in text or "saturday" in text]
    for hidden in ("server stopped", "order active", "invoice paid"):
        with window.opened(gallery, View(hidden, gallery.addresses[hidden], "member", status=404), DESKTOP):
            pass


def barriers(page: Page) -> list[str]:
    """What axe finds, each with its rule, its element and how to repair it."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    # What axe would preload is for a rule about media, of which the shop has none, and for one that is off.
    rules = page.evaluate("axe.run({resultTypes: ['violations'], preload: false}).then(found => found.violations)")
    found = ((rule["id"], node) for rule in rules for node in rule["nodes"])
    return [f"{name}: {node['target']} {node['html'][:120]} {node['failureSummary']}" for name, node in found]


def test_every_page_is_named(gallery: Gallery) -> None:
    assert set(views(gallery)) == set(NAMES)


def test_an_accessibility_barrier_is_found(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content('<html lang="en"><title>t</title><main><h1>h</h1><input></main>')
    assert [barrier.partition(":")[0] for barrier in barriers(page)] == ["label"]
    page.close()
