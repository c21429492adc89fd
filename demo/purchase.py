"""One whole purchase over HTTP, as a browser without JavaScript would make it: sign up, confirm, order, pay, wait."""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from demo.browser import Browser, Page
from demo.processes import DemoError
from sandbox.client import Sandbox

EMAIL_SECONDS = 60
RUNNING_SECONDS = 180
POLL_SECONDS = 0.25
ORDER_PATH = re.compile(r"/orders/(?P<id>[0-9a-f-]{36})/")
SERVER_PATH = re.compile(r"/servers/(?P<id>[0-9a-f-]{36})/")
CONFIRM_PATH = "/confirm-email/"


@dataclass(frozen=True)
class Purchase:
    """What was bought: our ids, and the seconds from paying to a server that runs."""

    order_id: str
    server_id: str
    seconds: float


class Timeline:
    """Prints what happened and when; once paid, in seconds since paying."""

    def __init__(self) -> None:
        self._started_at = time.monotonic()
        self._paid_at: float | None = None

    def mark_paid(self) -> None:
        """Count from here."""
        self._paid_at = time.monotonic()
        self.say("paid on the hosted page")

    def seconds(self) -> float:
        """Since paying."""
        return time.monotonic() - (self._paid_at or self._started_at)

    def say(self, text: str) -> None:
        """One line."""
        mark = f"{self.seconds():+8.2f} s" if self._paid_at else " " * 10
        print(f"  {mark}  {text}", flush=True)


def buy(*, shop_url: str, sandbox: Sandbox, check_processes: Callable[[], None]) -> Purchase:
    """Buy the first Minecraft server there is. `check_processes` is called while waiting and may raise.

    Raises DemoError when a page is not as it should be, or a wait is over.
    """
    timeline = Timeline()
    browser = Browser()
    home = browser.open(f"{shop_url}/")
    products = browser.open(home.link_to(f"{shop_url}/products/"))
    product = browser.open(products.link_to(f"{shop_url}/products/", "minecraft"))
    configurator_url = product.link_to(f"{shop_url}/products/", "/configure/")
    timeline.say(f"chose {configurator_url}")

    email = f"user-{secrets.token_hex(4)}@customer.test"
    sign_up(browser, shop_url, sandbox, email, check_processes)
    timeline.say(f"signed up and confirmed as {email}")

    page = browser.open(configurator_url)
    form = page.form_with("plan")
    payment_page = browser.send(page, form, **form.blanks("My first world"))
    if not payment_page.url.startswith(sandbox.base_url):
        reason = "; ".join(payment_page.errors) or "no message"
        raise DemoError(f"the order did not lead to the payment page but to {payment_page.url}: {reason}")
    timeline.say("ordered; the shop sent the browser to the payment page")

    order_page = browser.send(payment_page, payment_page.form_with("card"), card="pm_card_visa")
    timeline.mark_paid()
    return wait_for_server(browser, order_page, timeline, check_processes)


def sign_up(browser: Browser, shop_url: str, sandbox: Sandbox, email: str, check_processes: Callable[[], None]) -> None:
    """Make an account, and confirm its address by the link in the email."""
    password = secrets.token_urlsafe(18)
    page = browser.open(f"{shop_url}/accounts/signup/")
    page = browser.send(page, page.form_with("email"), email=email, password1=password, password2=password)
    if page.errors:
        raise DemoError(f"the shop refused the sign-up: {'; '.join(page.errors)}")
    link = _poll(
        lambda: next((link for mail in sandbox.mails(email) for link in mail["links"] if CONFIRM_PATH in link), None),
        EMAIL_SECONDS,
        f"an email to {email} with a link to confirm",
        check_processes,
    )
    page = browser.open(link)
    page = browser.send(page, page.form_to(CONFIRM_PATH))
    if "/login" in page.url:
        browser.send(page, page.form_with("password"), login=email, password=password)


def wait_for_server(browser: Browser, page: Page, timeline: Timeline, check_processes: Callable[[], None]) -> Purchase:
    """Reload the order's page, as it asks, until it has come to its end; then open the server's page."""
    order = ORDER_PATH.search(page.url)
    if order is None:
        raise DemoError(f"after paying, the browser is at {page.url} and not at its order")
    status = ""

    def reload() -> Page | None:
        nonlocal status, page
        page = browser.open(page.url)
        if page.statuses and page.statuses[0] != status:
            status = page.statuses[0]
            timeline.say(f"the order's page says: {status}")
        return None if page.is_refreshing else page

    page = _poll(reload, RUNNING_SECONDS, "the order's page to come to an end", check_processes)
    seconds = timeline.seconds()
    server_id = next((match["id"] for link in page.links if (match := SERVER_PATH.search(link))), None)
    if server_id is None:
        raise DemoError(f"the order ended as {status!r} and shows no server.{page.error_text()}")
    detail = browser.open(page.link_to(f"/servers/{server_id}/"))
    timeline.say(f"the server's page opens{': ' + detail.statuses[0] if detail.statuses else ''}")
    return Purchase(order["id"], server_id, seconds)


def _poll[T](look: Callable[[], T | None], seconds: float, what: str, check_processes: Callable[[], None]) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check_processes()
        found = look()
        if found is not None:
            return found
        time.sleep(POLL_SECONDS)
    raise DemoError(f"waited {seconds} s in vain for {what}")
