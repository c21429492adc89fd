"""A visitor becomes a customer with a running server, and every part in between is real.

A browser, gunicorn, PostgreSQL, the workers beside it, and the stand-ins for Stripe, the panel and the mail server.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from billing.models import Payment, PaymentState
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from servers.models import Server, ServerStatus
from tests.browser import gallery
from tests.browser.looks import DESKTOP, PHONE
from tests.browser.page_monitor import PageMonitor
from tests.browser.web import Web, working
from tests.sandbox_fixtures import WEBHOOK_SECRET

EMAIL = "lin@customer.test"
PASSWORD = "seven brass lanterns"
TIMEOUT_MS = 60_000
DEVICES = {
    "with scripts": DESKTOP.options,
    "on a phone without scripts": PHONE.options | {"java_script_enabled": False},
}


@pytest.fixture
def shop(shop_process: Web, stripe_sandbox: Sandbox, transactional_db: None, browser: Browser) -> Iterator[Web]:
    """The seeded shop, open: webhooks reach it, and its workers run."""
    stripe_sandbox.panel_settings(install_seconds=2.0, power_seconds=0.5, stats_cache_seconds=0.0)
    stripe_sandbox.stripe_endpoint(shop_process.webhook_url, WEBHOOK_SECRET)
    gallery.seed(stripe_sandbox)
    with working(shop_process):
        yield shop_process


@pytest.fixture(params=DEVICES, ids=lambda device: device.replace(" ", "-"))
def context(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    """The visitor's browser: with JavaScript, or a phone without it."""
    opened = browser.new_context(**DEVICES[request.param])
    opened.set_default_timeout(TIMEOUT_MS)
    yield opened
    opened.close()


def test_a_visitor_becomes_a_customer_with_a_running_server(
    shop: Web, context: BrowserContext, sandbox: Sandbox
) -> None:
    page = context.new_page()
    monitor = PageMonitor(page, shop.url, sandbox.base_url)

    sign_up(page, shop, sandbox)
    order(page, shop)
    pay(page)
    watch_it_start(page)
    stop(page)
    read_the_invoice(page)
    save_the_profile(page)

    assert monitor.problems == []
    assert Order.objects.get().status == OrderStatus.ACTIVE
    assert Payment.objects.get().state == PaymentState.SUCCEEDED
    server = Server.objects.get()
    assert (server.name, server.status) == ("Lin's lantern", ServerStatus.STOPPED)
    assert len(sandbox.panel_state()["servers"]) == 1


def sign_up(page: Page, shop: Web, sandbox: Sandbox) -> None:
    """From the front page to an account, whose address an e-mail confirms."""
    page.goto(shop.url)
    open_from_top_bar(page, "Create account")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Check your email")
    open_newest_email(page, sandbox)
    page.locator("a[href*='/confirm-email/']").first.click()
    page.get_by_role("button", name="Confirm email address").click()
    expect(page.get_by_role("heading", name="Hello")).to_be_visible()


def open_newest_email(page: Page, sandbox: Sandbox) -> None:
    """The newest e-mail in the stand-in's mailbox, as soon as it arrives."""
    for _attempt in range(40):
        page.goto(f"{sandbox.base_url}/mail?to={EMAIL}")
        email = page.locator("tbody a").first
        if email.count():
            email.click()
            return
        page.wait_for_timeout(250)
    raise AssertionError("no e-mail came")


def open_from_top_bar(page: Page, name: str) -> None:
    """A link of the top bar, which is a menu on a phone."""
    menu = page.get_by_role("button", name="Menu")
    if menu.is_visible():
        menu.click()
    page.get_by_role("navigation", name="Main").get_by_role("link", name=name).click()


def order(page: Page, shop: Web) -> None:
    """The 4 GB Minecraft server in Falkenstein with another gigabyte; the price follows the choices."""
    page.goto(f"{shop.url}/products/")
    page.get_by_role("link", name="Minecraft").click()
    page.get_by_role("link", name="Configure 4 GB").click()
    page.get_by_label("Falkenstein").check()
    page.get_by_label("1 GB more memory").check()
    page.get_by_label("Server name").fill("Lin's lantern")
    again = page.get_by_role("button", name="Update price")
    if again.is_visible():
        again.click()  # without scripts the price is asked for
        expect(page.get_by_label("Server name")).to_have_value("Lin's lantern")
    expect(page.locator("#quote")).to_contain_text("$10.50")
    page.get_by_role("button", name="Continue to payment").click()


def pay(page: Page) -> None:
    """On the hosted page, with the test card that works."""
    expect(page.get_by_text("Test mode")).to_be_visible()
    assert "/stripe/" in page.url
    page.get_by_role("button", name=re.compile("^Pay")).click()


def watch_it_start(page: Page) -> None:
    """The order's page follows the order: a script reloads its part, or the browser the page."""
    expect(page.get_by_role("heading", level=1)).to_contain_text("Order")
    expect(page.locator("#progress [role=status]")).to_have_text("Active", timeout=TIMEOUT_MS)
    expect(page.locator(".steps .done")).to_have_count(7)
    page.get_by_role("link", name="Manage server").click()
    expect(page.locator("#state")).to_have_text("Running")
    for _second in range(TIMEOUT_MS // 1000):  # a worker asks the panel since the page is watched
        if " GB of " in page.locator("#usage").inner_text():
            return
        page.wait_for_timeout(1000)
        page.reload()
    raise AssertionError("no usage is shown")


def stop(page: Page) -> None:
    """Press the button, and see the machine stop."""
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopping the server.")).to_be_visible()
    expect(page.locator("#state")).to_have_text("Stopped", timeout=TIMEOUT_MS)
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()


def read_the_invoice(page: Page) -> None:
    """What was paid, with its number."""
    page.get_by_role("link", name="Invoices").click()
    page.get_by_role("link", name=re.compile("^NB-")).click()
    invoice = page.get_by_role("article", name="Invoice")
    expect(invoice).to_contain_text("Minecraft 4 GB")
    expect(invoice.locator("tfoot")).to_contain_text("$10.50")


def save_the_profile(page: Page) -> None:
    """A name, and the page greets by it."""
    more = page.get_by_role("button", name="More")
    if more.is_visible():
        more.click()
    page.get_by_role("link", name="Profile").click()
    page.get_by_label("First name").fill("Lin")
    page.get_by_label("Time zone").fill("Asia/Tokyo")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    page.get_by_role("link", name="Home").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello Lin")
