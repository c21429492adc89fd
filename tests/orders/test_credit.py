"""A customer with credit in the wallet orders: they choose to use it, and each page says what is left to pay."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from billing import payments
from billing.models import Payment, PaymentMethod, PaymentState, Refund
from demo.browser import read_page
from orders import cancellation
from orders.models import Order, OrderStatus
from servers.models import Node
from support.models import Delivery
from tests.billing.sales import accept, make_sale, usd, wallet_balance
from tests.shop import Clock, Shop, deliver_webhooks, form_data, path_of, place_order, run_once, run_until_idle

CONFIGURE = "/products/minecraft/configure/"


@pytest.fixture
def browser(shop: Shop, client: Client) -> Client:
    """The customer's browser, signed in."""
    client.force_login(shop.customer)
    return client


def give_credit(shop: Shop, minor: int) -> None:
    accept(make_sale(minor=9900, organization=shop.organization).settle(amount=usd(minor)))


def order(shop: Shop, browser: Client, **chosen: Any) -> tuple[Order, str]:
    """The order that the customer places, and the address that they are sent to."""
    answer = browser.post(CONFIGURE, form_data(shop, **chosen))
    return Order.objects.latest("placed_at"), answer["Location"]


def summary(browser: Client, query: str = "") -> str:
    """The configurator's page in one line."""
    return " ".join(browser.get(CONFIGURE + query).content.decode().split())


def pay(browser: Client, placed: Order) -> None:
    """The customer presses the button on the order's page."""
    send_page(browser, browser.get(f"/orders/{placed.pk}/").content.decode(), "/pay/")


def send_page(browser: Client, page: str, action: str, **answers: str) -> None:
    """Send the form of a page that was opened before."""
    form = read_page("http://testserver" + CONFIGURE, 200, page).form_to(action)
    browser.post(path_of(form.action), dict(form.filled(answers)))


def test_credit_that_came_since_the_form_was_opened_is_not_used(shop: Shop, browser: Client) -> None:
    give_credit(shop, 300)
    page = browser.get(CONFIGURE).content.decode()
    give_credit(shop, 1000)

    send_page(browser, page, CONFIGURE, server_name="lantern-smp")

    payment = Order.objects.get().invoice.payments.get()
    assert (payment.amount, payment.credit) == (usd(500), usd(300))
    assert wallet_balance(shop.organization) == 1000


def test_credit_that_came_since_the_orders_page_was_opened_is_not_used(shop: Shop, browser: Client) -> None:
    give_credit(shop, 300)
    placed = place_order(shop, uses_credit=True)
    page = browser.get(f"/orders/{placed.pk}/").content.decode()
    assert "Pay $5.00" in page
    give_credit(shop, 1000)

    send_page(browser, page, "/pay/")

    payment = placed.invoice.payments.get()
    assert (payment.amount, payment.credit) == (usd(500), usd(300))
    assert wallet_balance(shop.organization) == 1000


@pytest.mark.parametrize("said", ["", "all", "-1", "9" * 5000, "٣"])
def test_without_an_amount_of_credit_that_the_page_said_none_is_used(shop: Shop, browser: Client, said: str) -> None:
    give_credit(shop, 1000)
    placed = place_order(shop, uses_credit=True)
    browser.post(f"/orders/{placed.pk}/pay/", {"shown_credit": said})
    assert (placed.invoice.payments.get().credit_minor, wallet_balance(shop.organization)) == (0, 1000)


def test_credit_pays_a_part_and_the_page_asks_for_the_rest(shop: Shop, browser: Client, clock: Clock) -> None:
    give_credit(shop, 300)
    placed, address = order(shop, browser, uses_credit="on")

    page = browser.get(f"/orders/{placed.pk}/").content.decode()
    assert "Pay $5.00" in page
    assert "−$3.00" in page
    shop.sandbox.pay(address, "pm_card_visa")
    run_until_idle(clock)
    assert placed.reload().status == OrderStatus.ACTIVE


def test_the_form_that_is_sent_again_is_the_order_that_reserved_all_of_the_credit(shop: Shop, browser: Client) -> None:
    give_credit(shop, 500)
    form = form_data(shop, uses_credit="on")

    answers = [browser.post(CONFIGURE, form) for _twice in range(2)]

    assert answers[0]["Location"] == answers[1]["Location"]
    payment = Order.objects.get().invoice.payments.get()
    assert (payment.amount, payment.credit) == (usd(300), usd(500))


def test_credit_that_suffices_starts_the_order_without_a_payment_page(
    shop: Shop, browser: Client, clock: Clock
) -> None:
    give_credit(shop, 1000)
    placed, address = order(shop, browser, uses_credit="on")

    assert address == f"/orders/{placed.pk}/"
    assert placed.reload().status == OrderStatus.PROVISIONING
    run_until_idle(clock)
    assert placed.reload().status == OrderStatus.ACTIVE
    assert placed.invoice.payments.get().state == PaymentState.EXPIRED


def test_the_form_offers_the_credit_checked_and_says_what_is_left_to_pay(shop: Shop, browser: Client) -> None:
    assert "Use your wallet balance" not in summary(browser)
    give_credit(shop, 300)

    page = summary(browser)

    assert "Use your wallet balance ($3.00)" in page
    assert "Your wallet balance pays $3.00. You pay $5.00 on the payment page." in page
    sent = dict(read_page("http://testserver" + CONFIGURE, 200, page).form_with("server_name").filled({}))
    assert sent["uses_credit"] == "on"


def test_the_form_keeps_that_credit_is_not_to_be_used(shop: Shop, browser: Client) -> None:
    give_credit(shop, 300)

    without_script = browser.post(CONFIGURE, form_data(shop, reprice="1")).content.decode()

    for page in (summary(browser, "?term=monthly"), without_script):
        assert "Use your wallet balance ($3.00)" in page
        assert "Your wallet balance pays" not in page


def test_credit_that_the_customer_keeps_is_used_at_no_later_step(shop: Shop, browser: Client) -> None:
    give_credit(shop, 1000)

    placed, _address = order(shop, browser)
    for _ in range(2):
        payment = placed.invoice.payments.get(state=PaymentState.PENDING)
        assert payment.amount == usd(800)
        payments.fail(payment_id=payment.pk, reason="declined", at=placed.placed_at)
        assert "Pay $8.00" in browser.get(f"/orders/{placed.pk}/").content.decode()
        pay(browser, placed)

    assert wallet_balance(shop.organization) == 1000


def test_after_a_declined_card_the_page_names_the_credit_that_is_used_again(shop: Shop, browser: Client) -> None:
    give_credit(shop, 300)
    placed, _address = order(shop, browser, uses_credit="on")
    payments.fail(payment_id=placed.invoice.payments.get().pk, reason="declined", at=placed.placed_at)

    assert "Pay $5.00" in browser.get(f"/orders/{placed.pk}/").content.decode()
    pay(browser, placed)

    again = placed.invoice.payments.get(state=PaymentState.PENDING)
    assert (again.amount, again.credit) == (usd(500), usd(300))


def test_an_order_that_renews_automatically_leaves_a_payment_that_saves_the_card(
    shop: Shop, browser: Client, clock: Clock
) -> None:
    give_credit(shop, 1000)
    choices = {"uses_credit": "on", "is_auto_renewed": "on"}
    page = summary(browser, "?term=monthly&uses_credit=on&is_auto_renewed=on")
    assert "You pay $0.50 with the payment method that we save for automatic renewal." in page

    placed, address = order(shop, browser, **choices)
    shop.sandbox.pay(address, "pm_card_visa")
    run_until_idle(clock)

    assert placed.reload().status == OrderStatus.ACTIVE
    assert placed.items.get().subscription.is_auto_renewed
    assert PaymentMethod.objects.get().last4 == "4242"
    assert wallet_balance(shop.organization) == 250


def paid_by_credit_and_card_without_capacity(shop: Shop, browser: Client, clock: Clock) -> Order:
    """An order of which credit paid $3.00 and a card $5.00, and whose server cannot be created."""
    give_credit(shop, 300)
    placed, address = order(shop, browser, uses_credit="on")
    cancellation.cancel_unpaid(order=placed, reason="not paid in time", at=clock.now)
    Node.objects.update(is_enabled=False)
    shop.sandbox.pay(address, "pm_card_visa")
    run_until_idle(clock, steps=5)
    assert placed.reload().status == OrderStatus.WAITING_CAPACITY
    return placed


def test_page_and_email_of_a_canceled_order_name_what_goes_back_to_the_card_and_what_to_credit(
    shop: Shop, browser: Client, clock: Clock
) -> None:
    placed = paid_by_credit_and_card_without_capacity(shop, browser, clock)

    cancellation.cancel_paid(order_id=placed.pk, reason="no server", actor=None, at=clock.now)

    said = "We refund $5.00 to the method you paid with; banks take a few days to show it. $3.00 is back in your"
    email = Delivery.objects.get(reference=f"order.canceled:{placed.pk}")
    for text in (browser.get(f"/orders/{placed.pk}/").content.decode(), email.body):
        assert said in " ".join(text.split())
    run_until_idle(clock)
    assert wallet_balance(shop.organization) == 300
    assert [refund["amount"] for refund in shop.sandbox.stripe_state()["refund"]] == [500]


def pay_after_the_credit_is_spent(shop: Shop, placed: Order, address: str, clock: Clock) -> None:
    """The order's reserved credit returns to the wallet and pays another order; then the card's money arrives."""
    payments.expire(payment_id=placed.invoice.payments.get().pk, at=clock.now)
    spending = place_order(shop, at=clock.now, uses_credit=True)
    browser = Client()
    browser.force_login(shop.customer)
    pay(browser, spending)
    assert wallet_balance(shop.organization) == 0
    shop.sandbox.pay(address, "pm_card_visa")
    deliver_webhooks(shop.sandbox)
    run_once(clock.pass_by(timedelta(minutes=20)))


def test_late_money_of_an_order_its_customer_canceled_is_refunded_also_where_the_credit_is_spent(
    shop: Shop, browser: Client, clock: Clock
) -> None:
    give_credit(shop, 300)
    placed, address = order(shop, browser, uses_credit="on")
    browser.post(f"/orders/{placed.pk}/cancel/")
    assert "If a payment still arrives, we refund it in full" in browser.get(f"/orders/{placed.pk}/").content.decode()

    pay_after_the_credit_is_spent(shop, placed, address, clock)
    run_once(clock.pass_by())

    assert Refund.objects.get().amount == usd(500)
    assert Payment.objects.get(pk=Refund.objects.get().payment_id).state == PaymentState.REFUNDED
    assert wallet_balance(shop.organization) == 0
    assert placed.reload().status == OrderStatus.CANCELED
    assert "We refund $5.00 to the method you paid with" in browser.get(f"/orders/{placed.pk}/").content.decode()
    assert not Delivery.objects.filter(reference__startswith="order.credited").exists()


def test_late_money_of_an_expired_order_whose_credit_is_spent_is_credit_and_the_page_says_so(
    shop: Shop, browser: Client, clock: Clock
) -> None:
    give_credit(shop, 300)
    placed, address = order(shop, browser, uses_credit="on")
    cancellation.cancel_unpaid(order=placed, reason="not paid in time", at=clock.now)

    pay_after_the_credit_is_spent(shop, placed, address, clock)
    run_once(clock.pass_by())

    page = browser.get(f"/orders/{placed.pk}/").content.decode()
    assert "Your payment of $5.00 arrived after this order was canceled. It is in your wallet now." in page
    assert wallet_balance(shop.organization) == 500
    (email,) = [each for each in mail.outbox if each.subject.startswith(f"Order {placed.number}: your payment is")]
    assert email.to == [shop.customer.email]
    assert "The $5.00 is in your wallet now." in str(email.body)


def test_the_invoices_page_shows_the_credit_and_nothing_to_who_never_had_any(shop: Shop, browser: Client) -> None:
    assert "Wallet balance" not in browser.get("/invoices/").content.decode()
    give_credit(shop, 300)

    page = browser.get("/invoices/").content.decode()

    assert "Wallet balance" in page
    assert "$3.00" in page
