"""The windows that pages are opened in: width, colours, pointer."""

import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page

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
    def is_phone(self) -> bool:
        """Whether it is narrow and touched with a finger."""
        return self.width < 600

    @property
    def height(self) -> int:
        """In CSS pixels."""
        return 844 if self.is_phone else 900

    @property
    def options(self) -> dict[str, Any]:
        """What the browser's context is opened with."""
        return {
            "viewport": {"width": self.width, "height": self.height},
            "color_scheme": self.scheme,
            "has_touch": self.is_phone,
            "is_mobile": self.is_phone,
            "reduced_motion": "reduce",
        }


DESKTOP, DESKTOP_DARK = Look("desktop-light", 1280, "light"), Look("desktop-dark", 1280, "dark")
PHONE, PHONE_DARK = Look("phone-light", 390, "light"), Look("phone-dark", 390, "dark")


def sign_in(context: BrowserContext, web: Web, session: str) -> None:
    """Give the browser an open session."""
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": web.url}])


class Window:
    """One browser window for many pages, which changes its look without a reload.

    A context of its own for each page would cost three times as much: a new process has to compile every script anew.
    """

    def __init__(self, browser: Browser, web: Web) -> None:
        self._web = web
        self._context = browser.new_context(reduced_motion="reduce")
        self.page: Page = self._context.new_page()
        self.page.route(
            f"**{BROKEN}", lambda route: route.fulfill(status=500, body=broken_page(), content_type="text/html")
        )
        self._devtools: CDPSession = self._context.new_cdp_session(self.page)
        self._look: Look | None = None

    @contextmanager
    def opened(self, gallery: Gallery, view: View, look: Look) -> Iterator[PageMonitor]:
        """Open a page as its user, without cookies of earlier pages; its complaints since."""
        self._context.clear_cookies()
        if view.who != "visitor":
            sign_in(self._context, self._web, gallery.sessions[view.who])
        self.change(look)
        with closing(PageMonitor(self.page, self._web.url)) as monitor:
            self.page.goto(f"{self._web.url}{view.address}")
            if view.act is not None:
                view.act(self.page)
            assert monitor.status == view.status, self._web.log.read_text()[-3000:]
            yield monitor

    def change(self, look: Look) -> None:
        """Be a window of that size, colours and pointer. A mouse after a finger is seen by the next page only."""
        if look == self._look:
            return
        metrics = {"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": look.is_phone}
        self._devtools.send("Emulation.setDeviceMetricsOverride", metrics)
        if look.is_phone or (self._look and self._look.is_phone):  # off twice would leave the page without a pointer
            self._devtools.send("Emulation.setTouchEmulationEnabled", {"enabled": look.is_phone})
        self.page.emulate_media(color_scheme=look.scheme)
        self._look = look

    def has(self, look: Look) -> bool:
        """Whether the page's style sheets see that width, pointer and scheme."""
        pointer = "coarse" if look.is_phone else "fine"
        media = f"(width: {look.width}px) and (pointer: {pointer}) and (prefers-color-scheme: {look.scheme})"
        return bool(self.page.evaluate("media => matchMedia(media).matches", media))

    def picture(self) -> bytes:
        """The page from top to bottom. A phone's page then has a mouse until the look changes.

        Playwright's own full-page screenshot gives the page the width of Playwright's window instead of the look's.
        """
        size = self._devtools.send("Page.getLayoutMetrics")["cssContentSize"]
        asked = {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        return base64.b64decode(self._devtools.send("Page.captureScreenshot", asked)["data"])

    def close(self) -> None:
        """Forget its cookies and its page."""
        self._context.close()
