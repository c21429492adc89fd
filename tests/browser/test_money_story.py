"""A customer's money in a browser, from the first top-up to a refund; the shop's runs are done at later instants.

The pages' clock is the real one, so what happens in them happens today, also where a run has billed later months.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from billing import refunds
from billing.ledger_audit import broken_rules
from billing.models import Payment, PaymentState, Subscription
from billing.runs import runner
from catalog.models import Coupon
from core import work
from sandbox.client import Sandbox
from servers.models import Server
from support.models import Delivery
from tests.billing import saved_methods
from tests.browser import gallery
from tests.browser.looks import DESKTOP, sign_in
from tests.browser.page_monitor import PageMonitor
from tests.browser.web import Web
from tests.shop import Clock, deliver_webhooks, make_customer, run_until_idle

DAY = timedelta(days=1)


class Visit:
    """A customer's browser, and the workers behind the shop, which work when they are told."""

    def __init__(self, page: Page, web: Web, sandbox: Sandbox) -> None:
        self.page, self.web, self.sandbox = page, web, sandbox
        self.clock = Clock(sandbox)

    def open(self, path: str) -> None:
        """A page of the shop."""
        self.page.goto(f"{self.web.url}{path}")

    def press(self, name: str | re.Pattern[str]) -> None:
        """A button or a link that looks like one."""
        button = self.page.get_by_role("button", name=name)
        (button if button.count() else self.page.get_by_role("link", name=name)).first.click()

    def pay(self) -> None:
        """On the gateway's page; then the shop learns of it."""
        expect(self.page.get_by_text("Test mode")).to_be_visible()
        self.press(re.compile("^Pay"))
        expect(self.page).to_have_url(re.compile(re.escape(self.web.url)))
        self.work()

    def work(self) -> None:
        """Webhooks and workers."""
        deliver_webhooks(self.sandbox)
        run_until_idle(self.clock)

    def see(self, text: str) -> None:
        """Somewhere in the page's content."""
        expect(self.page.locator("main")).to_contain_text(text)


@pytest.fixture
def visit(browser: Browser, shop_process: Web, stripe_sandbox: Sandbox, transactional_db: None) -> Iterator[Visit]:
    """A customer who is signed in to the seeded shop."""
    stripe_sandbox.panel_settings(install_seconds=2.0)
    gallery.seed(stripe_sandbox)
    Coupon.objects.create(code="WELCOME10", percent=10)
    client = Client()
    client.force_login(make_customer(first_name="Ada"))
    context = browser.new_context(**DESKTOP.options)
    context.set_default_timeout(20_000)
    sign_in(context, shop_process, client.cookies["sessionid"].value)
    page = context.new_page()
    monitor = PageMonitor(page, shop_process.url, stripe_sandbox.base_url)
    yield Visit(page, shop_process, stripe_sandbox)
    assert monitor.problems == []
    context.close()


def bill(at: datetime) -> None:
    """What the schedule does at that instant, and the workers then."""
    for kind in runner.STEPS:
        assert runner.execute(kind, at=at).skipped == {}
    for minutes in range(5):
        work.run_due(at=at + timedelta(minutes=minutes))


@pytest.mark.timeout(600)
def test_topped_up_bought_changed_renewed_declined_suspended_paid_and_refunded(visit: Visit) -> None:
    visit.open("/wallet/")
    visit.page.get_by_label("$25.00").check()
    visit.press("Continue to payment")
    visit.pay()
    visit.open("/wallet/")
    visit.see("$25.00")

    visit.open("/products/minecraft/configure/?plan=mc-4gb")
    visit.page.get_by_label("Falkenstein").check()
    visit.page.get_by_label("Server name").fill("lantern")
    visit.page.get_by_label("Coupon code").fill("WELCOME10")
    visit.press("Apply")
    expect(visit.page.locator("#quote")).to_contain_text("$7.20")
    visit.press("Pay with your credit")
    expect(visit.page).to_have_url(re.compile("/orders/"))
    visit.work()
    server = Server.objects.get()
    visit.open(f"/servers/{server.pk}/")
    visit.see("Running")

    visit.press("Change plan")
    visit.page.get_by_label(re.compile("^16 GB")).check()
    visit.press("See what it costs")
    visit.press("Confirm and pay")
    visit.pay()
    visit.open(f"/servers/{server.pk}/")
    visit.see("Minecraft 16 GB")

    subscription = Subscription.objects.get()
    for card in ("pm_card_visa", "pm_card_declineLater"):
        saved_methods.save_card(subscription.organization, card)
    visit.open("/subscriptions/")
    visit.press("Renew automatically")
    visit.see("Visa ending 4242 is charged then.")
    end = subscription.current_period_end
    assert end
    bill(end - DAY)
    bill(end)
    subscription = subscription.reload()
    assert subscription.current_period_start == end

    visit.open("/payment-methods/")
    with visit.page.expect_navigation():
        visit.press(re.compile("^Make"))
    end = subscription.current_period_end
    assert end
    for days in (-3, 0, 1, 5, 8):
        bill(end + days * DAY)
    told = Delivery.objects.filter(event__in=["invoice.due_soon", "invoice.overdue"]).values_list("event", flat=True)
    assert list(told.order_by("pk")) == [*["invoice.due_soon"] * 2, *["invoice.overdue"] * 2]
    visit.work()
    visit.open(f"/servers/{server.pk}/")
    visit.see("Suspended")

    visit.open("/dashboard/")
    visit.press(re.compile("^NB-"))
    visit.press("Pay $32.00")
    visit.page.get_by_role("radio").last.check()
    visit.press("Pay $32.00")
    visit.pay()
    visit.open(f"/servers/{server.pk}/")
    visit.see("Running")

    visit.open("/invoices/")
    visit.press(re.compile("^NB-"))
    with visit.page.expect_download() as download:
        visit.press("Download PDF")
    assert download.value.path().read_bytes().startswith(b"%PDF")

    paid = Payment.objects.filter(invoice__state="paid", state=PaymentState.SUCCEEDED).latest("settled_at")
    refunds.refund_payment(payment=paid, amount=paid.refundable, reason="asked", actor=None, at=visit.clock.now)
    visit.work()
    visit.open(f"/invoices/{paid.invoice_id}/")
    visit.see("Refunded")
    assert broken_rules() == {}
