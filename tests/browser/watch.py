"""What a page did while nobody looked: complaints of its console, refusals of its policy, calls to strangers."""

from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Error, Page, Request, Response


class Watch:
    """Listens to a page from now on: `complaints` in the order they came, `status` of the last page."""

    def __init__(self, page: Page, *hosts: str) -> None:
        self.complaints: list[str] = []
        self.status = 0
        self._hosts = {urlsplit(host).netloc for host in hosts}
        page.on("console", self._said)
        page.on("pageerror", self._failed)
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        is_status = message.text.startswith("Failed to load resource") and " status of " in message.text
        if message.type in {"error", "warning"} and not is_status:  # the page's own status; see `_answered` for others
            self.complaints.append(f"console: {message.text}")

    def _failed(self, error: Error) -> None:
        self.complaints.append(f"script: {error}")

    def _asked(self, request: Request) -> None:
        where = urlsplit(request.url)
        if where.scheme in {"http", "https"} and where.netloc not in self._hosts:
            self.complaints.append(f"asked a stranger: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.request.is_navigation_request():
            self.status = response.status
        elif response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")
