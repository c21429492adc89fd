"""The windows that pages are opened in: width, colours, pointer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.gallery import Gallery
from tests.browser.page_monitor import PageMonitor
from tests.browser.views import BROKEN, View, broken_page
from tests.browser.web import Web


@dataclass(frozen=True)
class Look:
    """A window; widths in CSS pixels."""

    name: str
    width: int
    scheme: Literal["light", "dark"]

    @property
    def options(self) -> dict[str, Any]:
        """What the browser's context is opened with."""
        is_phone = self.width < 600
        return {
            "viewport": {"width": self.width, "height": 844 if is_phone else 900},
            "color_scheme": self.scheme,
            "has_touch": is_phone,
            "is_mobile": is_phone,
            "reduced_motion": "reduce",
        }


DESKTOP, DESKTOP_DARK = Look("desktop-light", 1280, "light"), Look("desktop-dark", 1280, "dark")
PHONE, PHONE_DARK = Look("phone-light", 390, "light"), Look("phone-dark", 390, "dark")


def sign_in(context: BrowserContext, web: Web, session: str) -> None:
    """Give the browser an open session."""
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": web.url}])


@contextmanager
def opened(browser: Browser, web: Web, gallery: Gallery, view: View, look: Look) -> Iterator[tuple[Page, PageMonitor]]:
    """The page in the window, with its complaints since."""
    context = browser.new_context(**look.options)
    try:
        if view.who != "visitor":
            sign_in(context, web, gallery.sessions[view.who])
        page = context.new_page()
        page.route(f"**{BROKEN}", lambda route: route.fulfill(status=500, body=broken_page(), content_type="text/html"))
        monitor = PageMonitor(page, web.url)
        page.goto(f"{web.url}{view.address}")
        if view.act is not None:
            view.act(page)
        assert monitor.status == view.status, web.log.read_text()[-3000:]
        yield page, monitor
    finally:
        context.close()
