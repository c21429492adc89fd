"""A browser without JavaScript over Django's test client: reads pages, follows links and fills in forms."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from django.conf import settings
from django.test import Client

from demo.browser import Form, Page, read_page
from tests.shop import path_of

FORM = "application/x-www-form-urlencoded"


@dataclass
class ClientBrowser:
    """One session, with CSRF checks as in production. `left_to` is where a form led out of the shop."""

    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))
    left_to: str = ""

    def open(self, url: str) -> Page:
        """Open an address or follow a link."""
        return self._read(url, self.client.get(path_of(url)))

    def send(self, page: Page, form: Form, **answers: str) -> Page:
        """Fill in and send a form of the page; what is not answered is sent as the page has it."""
        content = urlencode(form.filled(answers))
        headers = {"Referer": page.url, "Origin": _origin(page.url)}
        return self._read(form.action, self.client.post(path_of(form.action), content, FORM, headers=headers))

    def press(self, page: Page, path: str, **button: str) -> Page:
        """Press a button of the form that posts to `path`, which sends the button's own name and value too."""
        form = page.form_to(path)
        content = urlencode([*form.filled({}), *button.items()])
        return self._read(form.action, self.client.post(path_of(form.action), content, FORM))

    def _read(self, url: str, answer: Any) -> Page:
        """The page that was answered, after the redirects that stay within the shop."""
        self.left_to = ""
        while answer.status_code in {301, 302, 303}:
            url = urljoin(url, answer["Location"])
            if _origin(url) not in {_origin(settings.SITE_URL), "http://testserver"}:
                self.left_to = url
                return read_page(url, answer.status_code, "")
            answer = self.client.get(path_of(url))
        page = read_page(urljoin("http://testserver", path_of(url)), answer.status_code, answer.content.decode())
        assert answer.status_code < 400, f"{url} answered {answer.status_code}.{page.error_text()}"
        return page


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "http://testserver"
