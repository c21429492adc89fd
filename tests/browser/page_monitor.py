"""What goes wrong on a page unseen: console errors, refusals of its content policy, requests to other hosts."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response


class PageMonitor:
    """Listens to a page from now on: its `problems` in order, and the HTTP `status` of the last navigation."""

    def __init__(self, page: Page, *hosts: str) -> None:
        self.problems: list[str] = []
        self.status = 0
        self._hosts = {urlsplit(host).netloc for host in hosts}
        self._page = page
        self._listeners: dict[Any, Callable[[Any], None]] = {
            "console": self._on_console,
            "pageerror": self._on_error,
            "request": self._on_request,
            "response": self._on_response,
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)

    def close(self) -> None:
        """Listen no longer."""
        for event, listener in self._listeners.items():
            self._page.remove_listener(event, listener)

    def _on_console(self, message: ConsoleMessage) -> None:
        is_status = message.text.startswith("Failed to load resource") and " status of " in message.text
        if (
            message.type in {"error", "warning"} and not is_status
        ):  # the page's own status; see `_on_response` for others
            self.problems.append(f"console: {message.text}")

    def _on_error(self, error: Error) -> None:
        self.problems.append(f"script: {error}")

    def _on_request(self, request: Request) -> None:
        where = urlsplit(request.url)
        if where.scheme in {"http", "https"} and where.netloc not in self._hosts:
            self.problems.append(f"request to another host: {request.url}")

    def _on_response(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self.status = response.status
        elif response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")
