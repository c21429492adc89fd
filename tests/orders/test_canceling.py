"""Canceling an order while money for it is on its way: refused, or the money goes back by itself."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import AccountKind, Payment, PaymentState, Posting, Refund, RefundState, SubscriptionStatus
from orders import cancellation
from orders.models import Order, OrderStatus
from servers.models import Node
from support.models import Delivery
from tests.shop import (
    Clock,
    Shop,
    create_session,
    deliver_webhooks,
    make_customers,
    panel_servers,
    place_order,
    run_once,
    run_until_idle,
)

DEBIT = "pm_usBankAccount_success"


@pytest.fixture
def browser(shop: Shop, client: Client) -> Client:
    """The customer's browser, signed in."""
    client.force_login(shop.customer)
    return client


@pytest.fixture
def debited(shop: Shop, clock: Clock) -> Order:
    """An order whose bank debit was submitted; we have not heard of it yet."""
    order = place_order(shop, at=clock.now)
    assert shop.sandbox.pay(create_session(order, at=clock.now), DEBIT).is_accepted
    return order


def clear_debit(shop: Shop, clock: Clock) -> None:
    """The bank pays, days later; its event comes, and everything runs its course."""
    shop.sandbox.clear_debit(shop.sandbox.stripe_state()["payment_intent"][0]["id"])
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)


def page_of(order: Order, browser: Client) -> str:
    return browser.get(f"/orders/{order.pk}/").content.decode()


def test_an_order_whose_debit_is_clearing_cannot_be_canceled(
    shop: Shop, clock: Clock, debited: Order, browser: Client
) -> None:
    run_once(clock.pass_by())
    deliver_webhooks(shop.sandbox)
    run_once(clock.pass_by())

    answer = browser.post(f"/orders/{debited.pk}/cancel/", follow=True).content.decode()

    assert "Your bank is already processing the payment" in answer
    assert debited.reload().status == OrderStatus.PENDING_PAYMENT
    clear_debit(shop, clock)
    assert debited.reload().status == OrderStatus.ACTIVE


def test_while_a_debit_clears_the_page_says_so_and_asks_for_nothing(
    shop: Shop, clock: Clock, debited: Order, browser: Client
) -> None:
    deliver_webhooks(shop.sandbox)
    run_once(clock.pass_by())

    page = page_of(debited, browser)
    lists = [browser.get(address).content.decode() for address in ("/dashboard/", "/orders/")]

    assert "Your bank is processing your payment of $8.00" in page
    assert "up to 5 working days" in page
    assert "You do not need to do anything" in page
    assert 'id="pay"' not in page
    assert 'id="cancel"' not in page
    assert "Waiting for payment" not in page
    for each in lists:
        assert "Processing at the bank" in each
        assert "Waiting for payment" not in each


def test_a_debit_not_yet_known_when_its_order_was_canceled_goes_back_when_it_clears(
    shop: Shop, clock: Clock, debited: Order, browser: Client
) -> None:
    browser.post(f"/orders/{debited.pk}/cancel/")
    assert "If a payment still arrives, we refund it in full" in page_of(debited, browser)
    deliver_webhooks(shop.sandbox)
    run_once(clock.pass_by())
    assert "We refund it in full as soon as it arrives" in page_of(debited, browser)

    clear_debit(shop, clock)
    run_once(clock.pass_by(timedelta(hours=7)))  # banks take their time with refunds too

    order = debited.reload()
    assert order.status == OrderStatus.CANCELED
    assert Payment.objects.get().state == PaymentState.REFUNDED
    assert Refund.objects.get().state == RefundState.SUCCEEDED
    assert order.items.get().subscription.status == SubscriptionStatus.ENDED
    assert panel_servers(shop.sandbox) == []
    clearing = Posting.objects.filter(account__kind=AccountKind.CLEARING).values_list("amount_minor", flat=True)
    assert sum(clearing) == 0
    assert "We refund $8.00 to the method you paid with" in page_of(debited, browser)
    (email,) = Delivery.objects.filter(reference__startswith="order.")
    assert email.reference == f"order.canceled:{order.pk}"


def test_a_card_payment_after_the_customer_canceled_is_refunded(shop: Shop, clock: Clock) -> None:
    order = place_order(shop, at=clock.now)
    url = create_session(order, at=clock.now)
    cancellation.cancel_unpaid(order=order, reason="changed my mind", actor=shop.customer, at=clock.now)
    shop.sandbox.pay(url)
    deliver_webhooks(shop.sandbox)
    deliver_webhooks(shop.sandbox)

    run_until_idle(clock)

    assert order.reload().status == OrderStatus.CANCELED
    assert [refund["amount"] for refund in shop.sandbox.stripe_state()["refund"]] == [800]
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 0


def test_every_order_is_found_again_in_the_list_of_its_organization_and_of_no_other(
    shop: Shop, browser: Client
) -> None:
    canceled, open_order = (place_order(shop) for _ in range(2))
    cancellation.cancel_unpaid(order=canceled, reason="x", actor=shop.customer, at=timezone.now())
    stranger = place_order(make_customers(shop, 1)[0])

    page = browser.get("/orders/").content.decode()

    for order in (canceled, open_order):
        assert f"/orders/{order.pk}/" in page
        assert str(order.number) in page
    assert page.index(str(open_order.number)) < page.index(str(canceled.number)), "newest first"
    assert "Canceled" in page
    assert str(stranger.pk) not in page
    assert 'href="/orders/"' in browser.get(f"/orders/{canceled.pk}/").content.decode()
    assert 'href="/orders/"' in browser.get("/invoices/").content.decode()
