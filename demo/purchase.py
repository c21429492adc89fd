"""One whole purchase over HTTP, as a browser without JavaScript would make it: sign up, confirm, order, pay, watch."""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from demo.crew import Failed
from demo.visitor import Page, Visitor
from sandbox.client import Sandbox

MAIL_SECONDS = 60
RUNNING_SECONDS = 180
LOOK_SECONDS = 0.25
ORDER_PATH = re.compile(r"/orders/(?P<id>[0-9a-f-]{36})/")
SERVER_PATH = re.compile(r"/servers/(?P<id>[0-9a-f-]{36})/")
CONFIRM_PATH = "/confirm-email/"


@dataclass(frozen=True)
class Bought:
    """What the purchase ended with: our ids, and the seconds from paying to a server that runs."""

    order: str
    server: str
    seconds: float


class Timeline:
    """Prints what happened and when; once paid, in seconds since paying."""

    def __init__(self) -> None:
        self._started_at = time.monotonic()
        self._paid_at: float | None = None

    def paid(self) -> None:
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


def buy(*, shop: str, sandbox: Sandbox, watch: Callable[[], None]) -> Bought:
    """Buy the first Minecraft server there is. `watch` is called while waiting and may raise.

    Raises Failed when a page is not as it should be, or a wait is over.
    """
    timeline = Timeline()
    visitor = Visitor()
    email = f"visitor-{secrets.token_hex(4)}@customer.test"
    configure_url = _choose(visitor, shop)
    timeline.say(f"chose {configure_url}")
    _sign_up(visitor, shop, sandbox, email, watch)
    timeline.say(f"signed up and confirmed as {email}")
    paying = _order(visitor, configure_url, sandbox)
    timeline.say("ordered; the shop sent the browser to the payment page")
    after = visitor.send(paying, paying.form_with("card"), card="pm_card_visa")
    timeline.paid()
    return _watch_order(visitor, after, timeline, watch)


def _choose(visitor: Visitor, shop: str) -> str:
    home = visitor.open(f"{shop}/")
    games = visitor.open(home.link_to(f"{shop}/games/"))
    product = visitor.open(games.link_to(f"{shop}/games/", "minecraft"))
    return product.link_to(f"{shop}/order/")


def _sign_up(visitor: Visitor, shop: str, sandbox: Sandbox, email: str, watch: Callable[[], None]) -> None:
    password = secrets.token_urlsafe(18)
    page = visitor.open(f"{shop}/accounts/signup/")
    page = visitor.send(page, page.form_with("email"), email=email, password1=password, password2=password)
    if page.complaints:
        raise Failed(f"the shop refused the sign-up: {'; '.join(page.complaints)}")
    link = _wait(
        lambda: next((link for mail in sandbox.mails(email) for link in mail["links"] if CONFIRM_PATH in link), None),
        MAIL_SECONDS,
        f"a mail to {email} with a link to confirm",
        watch,
    )
    page = visitor.open(link)
    page = visitor.send(page, page.form_to(CONFIRM_PATH))
    if "/login" in page.url:
        visitor.send(page, page.form_with("password"), login=email, password=password)


def _order(visitor: Visitor, configure_url: str, sandbox: Sandbox) -> Page:
    page = visitor.open(configure_url)
    form = page.form_with("plan")
    paying = visitor.send(page, form, **form.blanks("My first world"))
    if not paying.url.startswith(sandbox.base_url):
        said = "; ".join(paying.complaints) or "no message"
        raise Failed(f"the order did not lead to the payment page but to {paying.url}: {said}")
    return paying


def _watch_order(visitor: Visitor, page: Page, timeline: Timeline, watch: Callable[[], None]) -> Bought:
    found = ORDER_PATH.search(page.url)
    if found is None:
        raise Failed(f"after paying, the browser is at {page.url} and not at its order")
    said = ""

    def look() -> Page | None:
        nonlocal said, page
        page = visitor.open(page.url)
        if page.statuses and page.statuses[0] != said:
            said = page.statuses[0]
            timeline.say(f"the order's page says: {said}")
        return None if page.is_refreshing else page

    page = _wait(look, RUNNING_SECONDS, "the order's page to come to an end", watch)
    seconds = timeline.seconds()
    server = next((match["id"] for link in page.links if (match := SERVER_PATH.search(link))), None)
    if server is None:
        raise Failed(f"the order ended as {said!r} and shows no server.{page.said()}")
    detail = visitor.open(page.link_to(f"/servers/{server}/"))
    timeline.say(f"the server's page opens{': ' + detail.statuses[0] if detail.statuses else ''}")
    return Bought(found["id"], server, seconds)


def _wait[T](look: Callable[[], T | None], seconds: float, what: str, watch: Callable[[], None]) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        watch()
        found = look()
        if found is not None:
            return found
        time.sleep(LOOK_SECONDS)
    raise Failed(f"waited {seconds} s in vain for {what}")
