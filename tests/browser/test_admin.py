"""The staff pages in a browser: a menu, landmarks and contrast, in light and dark."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page

from accounts import permissions
from accounts.models import User
from nodebyte.seeding import users
from sandbox.client import Sandbox
from tests import database_reset
from tests.browser.looks import DESKTOP, DESKTOP_DARK, PHONE_DARK, Look, sign_in
from tests.browser.page_monitor import PageMonitor
from tests.browser.test_every_page import barriers
from tests.browser.web import Web
from tests.shop import make_shop, place_order

LOOKS = (DESKTOP, DESKTOP_DARK, PHONE_DARK)  # by turns, because pages share their styles
PAGES = (
    "",
    "orders/order/",
    "billing/payment/",
    "servers/server/",
    "catalog/plan/",
    "core/setting/",
    "accounts/user/",
    "servers/blueprint/add/",
    "catalog/addon/add/",
)


@pytest.fixture(scope="module")
def session(shop_process: Web, sandbox_process: Sandbox, django_db_blocker: Any) -> Iterator[str]:
    """The session of a superadmin in a shop with an order."""
    sandbox_process.reset()
    with django_db_blocker.unblock(), ExitStack() as stack:
        database_reset.reset()
        stack.callback(database_reset.reset)
        place_order(make_shop(sandbox_process))
        permissions.ensure_staff_roles()
        users.seed_staff(email=users.STAFF_EMAIL, password="unused")
        client = Client()
        client.force_login(User.objects.get(email=users.STAFF_EMAIL))
        yield client.cookies[settings.SESSION_COOKIE_NAME].value


@pytest.fixture
def opened(browser: Browser, shop_process: Web, session: str) -> Iterator[Any]:
    """Opens a staff page in a window."""
    contexts = []

    def open_page(path: str, look: Look) -> tuple[Page, PageMonitor]:
        context = browser.new_context(**look.options)
        contexts.append(context)
        sign_in(context, shop_process, session)
        page = context.new_page()
        monitor = PageMonitor(page, shop_process.url)
        page.goto(f"{shop_process.url}/admin/{path}")
        page.evaluate("new Promise(done => window.django ? django.jQuery(() => setTimeout(done)) : done())")
        return page, monitor

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("path", "look"), list(zip(PAGES, cycle(LOOKS), strict=False)))
def test_a_staff_page_is_accessible_and_has_landmarks(opened: Any, path: str, look: Look) -> None:
    page, monitor = opened(path, look)

    assert page.locator("main h1").count() == 1
    assert barriers(page) == []
    assert monitor.problems == []


def test_a_field_that_searches_has_the_name_of_its_label(opened: Any) -> None:
    page, _monitor = opened("servers/blueprint/add/", DESKTOP)

    page.get_by_role("combobox", name="Egg").click()

    assert page.get_by_role("searchbox", name="Egg").is_visible()


@pytest.mark.parametrize(("width", "is_shown"), [(1279, False), (1280, True), (1281, True)])
def test_the_menu_shows_where_there_is_room_for_it(opened: Any, width: int, is_shown: bool) -> None:
    page, _monitor = opened("", Look("window", width, "light"))

    assert page.locator("#nav-sidebar-apps").is_visible() == is_shown
    page.set_viewport_size({"width": 2560 - width, "height": 900})
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(300)
    assert page.locator("#nav-sidebar-apps").is_visible() == is_shown
