"""A customer's money in a browser, from the first top-up to a refund; the shop's runs are done at later instants.

The pages' clock is the real one, so what happens in them happens today, also where a run has billed later months.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts import permissions
from accounts.models import User
from billing import refunds
from billing.ledger_audit import broken_rules
from billing.models import Payment, PaymentState, Subscription
from billing.runs import runner
from catalog import services as catalog
from catalog.models import Coupon, Plan, Term
from core import site_settings, work
from core.money import Money
from nodebyte.seeding import users
from orders.affiliates import commissions
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

    def sign_in(self, user: User) -> None:
        """Go on as that user."""
        client = Client()
        client.force_login(user)
        sign_in(self.page.context, self.web, client.cookies["sessionid"].value)

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
def shop(shop_process: Web, stripe_sandbox: Sandbox, settings: Any, transactional_db: None) -> Web:
    """The seeded shop."""
    stripe_sandbox.panel_settings(install_seconds=2.0)
    settings.TRIPAY_API_BASE = stripe_sandbox.tripay_url
    gallery.seed(stripe_sandbox)
    return shop_process


@pytest.fixture
def visit_as(browser: Browser, shop: Web, sandbox: Sandbox) -> Iterator[Callable[[User | None], Visit]]:
    """Opens a browser of somebody who is signed in, or of a stranger; nothing may go wrong on its pages."""
    opened: list[tuple[BrowserContext, PageMonitor]] = []

    def open_browser(user: User | None) -> Visit:
        context = browser.new_context(**DESKTOP.options)
        context.set_default_timeout(20_000)
        page = context.new_page()
        opened.append((context, PageMonitor(page, shop.url, sandbox.base_url)))
        visit = Visit(page, shop, sandbox)
        if user is not None:
            visit.sign_in(user)
        return visit

    yield open_browser
    for context, monitor in opened:
        assert monitor.problems == []
        context.close()


@pytest.fixture
def visit(visit_as: Callable[[User | None], Visit]) -> Visit:
    """A customer who is signed in to the seeded shop."""
    return visit_as(make_customer(first_name="Ada"))


def bill(at: datetime) -> None:
    """What the schedule does at that instant, and the workers then."""
    for kind in runner.STEPS:
        assert runner.execute(kind, at=at).skipped == {}
    for minutes in range(5):
        work.run_due(at=at + timedelta(minutes=minutes))


@pytest.mark.timeout(600)
def test_topped_up_bought_changed_renewed_declined_suspended_paid_and_refunded(visit: Visit) -> None:
    Coupon.objects.create(code="WELCOME10", percent=10)
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
    visit.press("Pay with your wallet balance")
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


@pytest.mark.timeout(300)
def test_an_operator_turns_on_tripay_and_sells_in_rupiah(visit_as: Callable[[User | None], Visit]) -> None:
    permissions.ensure_staff_roles()
    users.seed_staff(email=users.STAFF_EMAIL, password="unused")
    staff = visit_as(User.objects.get(email=users.STAFF_EMAIL))
    staff.sandbox.tripay_settings(callback_url=f"{staff.web.url}/webhooks/tripay/")
    staff.open("/admin/billing/gatewayaccount/add/")
    for label, value in (("Code", "tripay"), ("Name", "Tripay"), ("Currencies", "IDR")):
        staff.page.get_by_label(label).fill(value)
    staff.page.get_by_label("Kind").select_option("tripay")
    staff.press("Save")
    staff.page.get_by_label("Merchant code").fill("T12345")
    staff.page.get_by_label("API key").fill("DEV-sim-api-key-001")
    staff.page.get_by_label("Private key").fill("sim-private-key-001")
    staff.press("Save and continue editing")
    staff.see(f"{staff.web.url}/webhooks/tripay/")
    staff.work()
    staff.page.reload()
    staff.see("They work")
    plan = Plan.objects.get(code="mc-4gb")
    rupiah = Money(125_000_00, "IDR")
    catalog.offer_price(item=plan, term=Term.MONTHLY, amount=rupiah, actor="operator", at=staff.clock.now)

    visit = visit_as(make_customer(first_name="Ada"))
    visit.open("/products/minecraft/")
    visit.press("IDR")
    visit.press("Configure 4 GB")
    visit.page.get_by_label("Falkenstein").check()
    visit.page.get_by_label("Server name").fill("lentera")
    expect(visit.page.locator("#quote")).to_contain_text("Rp 125.000")
    visit.press("Continue to payment")
    visit.page.get_by_label(re.compile("BRI Virtual Account")).check()
    visit.press("Continue to payment")
    expect(visit.page).to_have_url(re.compile("/tripay/checkout/"))
    visit.press(re.compile("^Pay"))
    expect(visit.page).to_have_url(re.compile(re.escape(visit.web.url)))
    visit.work()
    assert Payment.objects.get().state == PaymentState.SUCCEEDED
    visit.open("/invoices/")
    visit.see("Rp 125.000")
    visit.open(f"/servers/{Server.objects.get().pk}/")
    visit.see("Running")
    assert broken_rules() == {}


@pytest.mark.timeout(300)
def test_an_affiliate_earns_and_spends_it(visit_as: Callable[[User | None], Visit]) -> None:
    site_settings.set_value("affiliates.are_enabled", True)
    affiliate, visit = visit_as(make_customer("partner@example.test")), visit_as(None)
    while not affiliate.page.request.get(f"{affiliate.web.url}/affiliate/").ok:
        affiliate.page.wait_for_timeout(250)  # the shop's processes read a changed setting within seconds
    affiliate.open("/affiliate/")
    affiliate.press("Get your link")
    link = affiliate.page.locator(".address code").inner_text()

    visit.page.goto(link)
    visit.sign_in(make_customer())
    visit.open("/products/minecraft/configure/?plan=mc-4gb")
    visit.page.get_by_label("Falkenstein").check()
    visit.page.get_by_label("Server name").fill("lantern")
    visit.press("Continue to payment")
    visit.pay()
    commissions.advance(at=visit.clock.now)
    affiliate.open("/affiliate/")
    affiliate.see("from ")
    expect(affiliate.page.get_by_role("button", name="Move to your wallet")).to_have_count(0)

    commissions.advance(at=visit.clock.now + 31 * DAY)
    affiliate.open("/affiliate/")
    affiliate.press("Move to your wallet")
    affiliate.open("/wallet/")
    affiliate.see("$1.60")
    assert broken_rules() == {}
