"""The whole purchase over real HTTP to the stand-ins, from the order to the running server, and where it goes wrong."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from billing.models import AccountKind, Payment, PaymentState, Posting, Subscription, SubscriptionStatus
from orders import cancellation, paying
from orders.models import OrderStatus
from servers.models import Node, Server, ServerStatus
from support.models import Delivery
from tests.shop import (
    Clock,
    Shop,
    create_session,
    deliver_webhooks,
    panel_servers,
    place_order,
    run_until_idle,
)


def clearing() -> int:
    return sum(Posting.objects.filter(account__kind=AccountKind.CLEARING).values_list("amount_minor", flat=True))


def test_a_paid_order_becomes_exactly_one_running_server(shop: Shop) -> None:
    clock = Clock(shop.sandbox)
    order = place_order(shop, at=clock.now)

    assert shop.sandbox.pay(create_session(order)).is_accepted
    assert set(deliver_webhooks(shop.sandbox)) == {200}
    run_until_idle(clock)

    order = order.reload()
    assert order.status == OrderStatus.ACTIVE
    assert [(change.old, change.new) for change in order.changes.order_by("at", "pk")] == [
        ("", OrderStatus.PENDING_PAYMENT),
        (OrderStatus.PENDING_PAYMENT, OrderStatus.PAID),
        (OrderStatus.PAID, OrderStatus.PROVISIONING),
        (OrderStatus.PROVISIONING, OrderStatus.ACTIVE),
    ]
    browser = Client()
    browser.force_login(shop.customer)
    page = browser.get(f"/orders/{order.pk}/").content.decode()
    told = ("Order placed", "Payment received", "Setup started", "Setup finished")
    assert re.findall(f"<dd>\\s*({'|'.join(told)})\\s*</dd>", page) == list(told)
    assert [str(server["external_id"]) for server in panel_servers(shop.sandbox)] == [str(Server.objects.get().pk)]
    assert Server.objects.get().status == ServerStatus.RUNNING
    assert Payment.objects.get().state == PaymentState.SUCCEEDED
    assert clearing() == -800
    assert order.invoice.number is not None
    assert Subscription.objects.get().status == SubscriptionStatus.ACTIVE
    assert sorted(filter(None, Delivery.objects.values_list("reference", flat=True))) == [
        f"order.active:{order.pk}",
        f"order.paid:{order.pk}",
    ]


def test_a_lost_webhook_costs_minutes_and_not_the_order(shop: Shop) -> None:
    clock = Clock(shop.sandbox)
    order = place_order(shop, at=clock.now)
    shop.sandbox.pay(create_session(order))

    run_until_idle(clock, step=timedelta(seconds=20))

    assert order.reload().status == OrderStatus.ACTIVE
    assert len(panel_servers(shop.sandbox)) == 1


def test_an_order_nobody_pays_is_canceled_and_its_capacity_released(shop: Shop) -> None:
    clock = Clock(shop.sandbox)
    order = place_order(shop, at=clock.now)
    create_session(order)

    run_until_idle(clock, step=timedelta(minutes=2), steps=60)

    assert order.reload().status == OrderStatus.CANCELED
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 0
    assert panel_servers(shop.sandbox) == []


def test_a_payment_after_the_order_expired_still_ends_in_a_server(shop: Shop) -> None:
    clock = Clock(shop.sandbox)
    order = place_order(shop, at=clock.now)
    url = create_session(order)
    cancellation.cancel_unpaid(order=order, reason="not paid in time", at=clock.now)
    shop.sandbox.pay(url)
    deliver_webhooks(shop.sandbox)

    run_until_idle(clock)

    assert order.reload().status == OrderStatus.ACTIVE
    assert len(panel_servers(shop.sandbox)) == 1


def test_a_paid_order_without_capacity_waits_until_there_is_some(shop: Shop) -> None:
    clock = Clock(shop.sandbox)
    order = place_order(shop, at=clock.now)
    url = create_session(order)
    cancellation.cancel_unpaid(order=order, reason="not paid in time", at=clock.now)
    Node.objects.update(is_enabled=False)
    shop.sandbox.pay(url)
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock, steps=4)
    assert order.reload().status == OrderStatus.WAITING_CAPACITY

    Node.objects.update(is_enabled=True)
    run_until_idle(clock)

    assert order.reload().status == OrderStatus.ACTIVE


def test_a_paid_order_without_capacity_for_a_day_is_refunded(shop: Shop) -> None:
    clock = Clock(shop.sandbox)
    order = place_order(shop, at=clock.now)
    url = create_session(order)
    cancellation.cancel_unpaid(order=order, reason="not paid in time", at=clock.now)
    Node.objects.update(is_enabled=False)
    shop.sandbox.pay(url)
    deliver_webhooks(shop.sandbox)

    run_until_idle(clock, step=timedelta(hours=2), steps=30)
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)

    assert order.reload().status == OrderStatus.CANCELED
    assert [refund["amount"] for refund in shop.sandbox.stripe_state()["refund"]] == [800]
    assert Payment.objects.get().state == PaymentState.REFUNDED
    assert clearing() == 0
    assert panel_servers(shop.sandbox) == []


def test_a_failed_installation_is_refunded_when_nobody_repairs_it(shop: Shop) -> None:
    shop.sandbox.panel_settings(install_outcome="fail")
    clock = Clock(shop.sandbox)
    order = place_order(shop, at=clock.now)
    shop.sandbox.pay(create_session(order))
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock, steps=10)
    assert order.reload().status == OrderStatus.FAILED

    run_until_idle(clock, step=timedelta(hours=6), steps=30)

    assert order.reload().status == OrderStatus.CANCELED
    assert panel_servers(shop.sandbox) == []
    assert clearing() == 0


def test_a_payment_under_review_keeps_the_order_open_and_asks_for_no_second_payment(shop: Shop, client: Client) -> None:
    clock = Clock(shop.sandbox)
    order = place_order(shop, at=clock.now)
    Payment.objects.update(
        state=PaymentState.UNDER_REVIEW,
        transaction_id="pi_odd",
        received_minor=799,
        received_currency="USD",
        poll_at=None,
    )

    run_until_idle(clock, step=timedelta(minutes=20), steps=6)
    client.force_login(shop.customer)
    page = client.get(f"/orders/{order.pk}/").content.decode()

    assert order.reload().status == OrderStatus.PENDING_PAYMENT
    assert "Our staff are checking it" in page
    for each in (page, *(client.get(address).content.decode() for address in ("/dashboard/", "/orders/"))):
        assert "Payment under review" in each
        assert "Waiting for payment" not in each
    assert "Cancel order" not in page
    with pytest.raises(paying.OrderClosed):
        paying.reopen_payment(order=order, at=clock.now)
