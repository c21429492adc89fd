"""The whole purchase over real HTTP to the stand-ins, from the order to the running server, and where it goes wrong."""

from datetime import timedelta

import pytest
from django.test import Client

from billing.models import AccountKind, Payment, PaymentState, Posting, Subscription, SubscriptionStatus
from orders.models import OrderStatus
from sandbox.client import Sandbox
from servers.models import Node, Server, ServerStatus
from support.models import Delivery
from tests.shop import Clock, Shop, create_session, hear, make_shop, panel_servers, place, run_until_idle


@pytest.fixture
def shop(stripe_sandbox: Sandbox, transactional_db: None) -> Shop:
    return make_shop(stripe_sandbox)


def clearing() -> int:
    return sum(Posting.objects.filter(account__kind=AccountKind.CLEARING).values_list("amount_minor", flat=True))


def test_a_paid_order_becomes_exactly_one_running_server(shop: Shop) -> None:
    clock = Clock(shop.sandbox)
    order = place(shop, at=clock.now)

    assert shop.sandbox.pay(create_session(order)).is_accepted
    assert set(hear(shop.sandbox)) == {200}
    run_until_idle(clock)

    order = order.reload()
    assert order.status == OrderStatus.ACTIVE
    assert [str(server["external_id"]) for server in panel_servers(shop.sandbox)] == [str(Server.objects.get().pk)]
    assert Server.objects.get().status == ServerStatus.RUNNING
    assert Payment.objects.get().state == PaymentState.SUCCEEDED
    assert clearing() == -800
    assert order.invoice.number is not None
    assert Subscription.objects.get().status == SubscriptionStatus.ACTIVE
    assert sorted(filter(None, Delivery.objects.values_list("reference", flat=True))) == [
        f"order:{order.pk}:active",
        f"order:{order.pk}:paid",
    ]


def test_a_webhook_never_heard_costs_minutes_and_not_the_order(shop: Shop) -> None:
    clock = Clock(shop.sandbox)
    order = place(shop, at=clock.now)
    shop.sandbox.pay(create_session(order))

    run_until_idle(clock, step=timedelta(seconds=20))

    assert order.reload().status == OrderStatus.ACTIVE
    assert len(panel_servers(shop.sandbox)) == 1


def test_an_order_nobody_pays_is_canceled_and_its_room_given_back(shop: Shop) -> None:
    clock = Clock(shop.sandbox)
    order = place(shop, at=clock.now)
    create_session(order)

    run_until_idle(clock, step=timedelta(minutes=2), steps=60)

    assert order.reload().status == OrderStatus.CANCELED
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 0
    assert panel_servers(shop.sandbox) == []


def test_money_that_comes_after_canceling_still_ends_in_a_server(shop: Shop) -> None:
    from orders import services

    clock = Clock(shop.sandbox)
    order = place(shop, at=clock.now)
    url = create_session(order)
    services.cancel_unpaid(order_id=order.pk, reason="changed my mind", actor=shop.customer, at=clock.now)
    shop.sandbox.pay(url)
    hear(shop.sandbox)

    run_until_idle(clock)

    assert order.reload().status == OrderStatus.ACTIVE
    assert len(panel_servers(shop.sandbox)) == 1


def test_paid_without_room_waits_and_takes_the_next_free_place(shop: Shop) -> None:
    from orders import services

    clock = Clock(shop.sandbox)
    order = place(shop, at=clock.now)
    url = create_session(order)
    services.cancel_unpaid(order_id=order.pk, reason="too slow", at=clock.now)
    Node.objects.update(is_enabled=False)
    shop.sandbox.pay(url)
    hear(shop.sandbox)
    run_until_idle(clock, steps=4)
    assert order.reload().status == OrderStatus.WAITING_CAPACITY

    Node.objects.update(is_enabled=True)
    run_until_idle(clock)

    assert order.reload().status == OrderStatus.ACTIVE


def test_paid_without_room_for_a_day_is_refunded_by_itself(shop: Shop) -> None:
    from orders import services

    clock = Clock(shop.sandbox)
    order = place(shop, at=clock.now)
    url = create_session(order)
    services.cancel_unpaid(order_id=order.pk, reason="too slow", at=clock.now)
    Node.objects.update(is_enabled=False)
    shop.sandbox.pay(url)
    hear(shop.sandbox)

    run_until_idle(clock, step=timedelta(hours=2), steps=30)
    hear(shop.sandbox)
    run_until_idle(clock)

    assert order.reload().status == OrderStatus.CANCELED
    assert [refund["amount"] for refund in shop.sandbox.stripe_state()["refund"]] == [800]
    assert Payment.objects.get().state == PaymentState.REFUNDED
    assert clearing() == 0
    assert panel_servers(shop.sandbox) == []


def test_an_install_that_fails_is_told_and_refunded_when_nobody_mends_it(shop: Shop) -> None:
    shop.sandbox.panel_settings(install_outcome="fail")
    clock = Clock(shop.sandbox)
    order = place(shop, at=clock.now)
    shop.sandbox.pay(create_session(order))
    hear(shop.sandbox)
    run_until_idle(clock, steps=10)
    assert order.reload().status == OrderStatus.FAILED

    run_until_idle(clock, step=timedelta(hours=6), steps=30)

    assert order.reload().status == OrderStatus.CANCELED
    assert panel_servers(shop.sandbox) == []
    assert clearing() == 0


def test_money_that_is_held_keeps_the_order_open_and_asks_for_no_second_payment(shop: Shop, client: Client) -> None:
    from orders import services

    clock = Clock(shop.sandbox)
    order = place(shop, at=clock.now)
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
    assert "our staff look at it" in page
    assert "Cancel the order" not in page
    with pytest.raises(services.OrderClosed):
        services.reopen_payment(order_id=order.pk, at=clock.now)
