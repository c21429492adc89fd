"""Tax at checkout: the page, the order, the invoice and the gateway's page ask for the same."""

import pytest
from django.test import Client

from accounts import services as accounts
from billing import gateway_accounts
from billing.models import AccountKind, BillingMode, GatewayPrice
from core import site_settings
from orders.models import Order, OrderStatus
from tests.billing.sales import balance
from tests.billing.test_tax import set_up_shop
from tests.shop import Clock, Shop, form_data, run_until_idle

CONFIGURE = "/products/minecraft/configure/"


@pytest.fixture
def browser(shop: Shop, client: Client) -> Client:
    """The customer's browser, signed in."""
    client.force_login(shop.customer)
    return client


def shown(browser: Client) -> str:
    """The configurator's page with single spaces."""
    return " ".join(browser.get(CONFIGURE).content.decode().split())


def move(shop: Shop, **fields: str) -> None:
    """Change the customer's billing address."""
    accounts.change_billing_contact(organization=shop.organization, fields=fields, actor=shop.customer)


@pytest.mark.parametrize(("prices", "total", "tax"), [("exclusive", 952, 152), ("inclusive", 800, 128)])
def test_page_order_invoice_session_and_books_agree_to_the_cent(
    shop: Shop, browser: Client, clock: Clock, prices: str, total: int, tax: int
) -> None:
    set_up_shop(prices)
    page = shown(browser)
    for text in ("VAT 19%", f"${tax / 100:.2f}", f"${total / 100:.2f}", f'name="shown_total" value="{total}"'):
        assert text in page

    answer = browser.post(CONFIGURE, form_data(shop, shown_total=str(total)))

    order = Order.objects.get()
    assert (order.total_minor, order.invoice.total_minor, order.invoice.tax_minor) == (total, total, tax)
    assert order.invoice.place_evidence == {"country": "", "client_address": "127.0.0.1"}
    (session,) = shop.sandbox.stripe_state()["checkout.session"]
    assert session["amount_total"] == total
    shop.sandbox.pay(answer["Location"], "pm_card_visa")
    run_until_idle(clock)
    assert order.reload().status == OrderStatus.ACTIVE
    assert (balance(AccountKind.REVENUE), balance(AccountKind.TAX)) == (total - tax, tax)
    assert balance(AccountKind.WALLET) == 0


def test_a_total_that_rose_with_the_tax_is_shown_before_it_is_ordered(shop: Shop, browser: Client) -> None:
    move(shop, country="US")
    set_up_shop()
    assert 'name="shown_total" value="800"' in shown(browser)
    move(shop, country="DE")

    answer = browser.post(CONFIGURE, form_data(shop, shown_total="800"))

    assert answer.status_code == 422
    assert "The total has changed with your tax." in answer.content.decode()
    assert 'name="shown_total" value="952"' in answer.content.decode()
    assert not Order.objects.exists()
    assert browser.post(CONFIGURE, form_data(shop, shown_total="952")).status_code == 303


def test_an_unpaid_order_is_ordered_anew_when_the_address_changes_its_tax(shop: Shop, browser: Client) -> None:
    set_up_shop()
    form = form_data(shop)
    browser.post(CONFIGURE, form)
    browser.post(CONFIGURE, form)
    move(shop, country="FR", tax_id="FR40303265045")
    browser.post(CONFIGURE, form)

    totals = Order.objects.order_by("placed_at").values_list("status", "total_minor")
    assert list(totals) == [(OrderStatus.CANCELED, 952), (OrderStatus.PENDING_PAYMENT, 800)]


def test_a_gateway_renews_nothing_to_which_tax_is_added(shop: Shop) -> None:
    site_settings.set_value("billing.gateway_renews", value=True)
    GatewayPrice.objects.create(gateway="stripe", plan_price=shop.price, reference="price_1")
    assert gateway_accounts.billing_mode_for([shop.price]) == BillingMode.GATEWAY
    set_up_shop()
    assert gateway_accounts.billing_mode_for([shop.price]) == BillingMode.SELF
