"""A customer with credit in the wallet orders: credit pays first, and the page says what is left to pay."""

import pytest
from django.test import Client

from billing.models import PaymentState
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from tests.billing.sales import accept, make_sale, usd
from tests.shop import Clock, Shop, form_data, make_shop, run_until_idle

CONFIGURE = "/products/minecraft/configure/"


@pytest.fixture
def shop(stripe_sandbox: Sandbox, transactional_db: None) -> Shop:
    return make_shop(stripe_sandbox)


@pytest.fixture
def clock(shop: Shop) -> Clock:
    return Clock(shop.sandbox)


def order_with_credit(shop: Shop, browser: Client, credit_minor: int) -> tuple[Order, str]:
    """The order that a customer with credit places, and the address that they are sent to."""
    accept(make_sale(minor=9900, organization=shop.organization).settle(amount=usd(credit_minor)))
    browser.force_login(shop.customer)
    answer = browser.post(CONFIGURE, form_data(shop))
    return Order.objects.latest("placed_at"), answer["Location"]


def test_credit_pays_a_part_and_the_page_asks_for_the_rest(shop: Shop, client: Client, clock: Clock) -> None:
    order, address = order_with_credit(shop, client, 300)

    page = client.get(f"/orders/{order.pk}/").content.decode()
    assert "Pay $5.00" in page
    assert "−$3.00" in page
    shop.sandbox.pay(address, "pm_card_visa")
    run_until_idle(clock)
    assert order.reload().status == OrderStatus.ACTIVE


def test_credit_that_suffices_starts_the_order_without_a_payment_page(shop: Shop, client: Client, clock: Clock) -> None:
    order, address = order_with_credit(shop, client, 1000)

    assert address == f"/orders/{order.pk}/"
    assert order.reload().status == OrderStatus.PROVISIONING
    run_until_idle(clock)
    assert order.reload().status == OrderStatus.ACTIVE
    assert order.invoice.payments.get().state == PaymentState.EXPIRED
