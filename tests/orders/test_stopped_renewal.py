"""The customer is told when we stop the gateway from renewing what they have not canceled."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from billing import refunds
from billing.models import GatewaySubscription, Payment, PaymentState
from core import site_settings
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from servers.models import HoldKind, ServerHold
from tests.billing.sales import transactions
from tests.shop import Clock, Shop, create_session, deliver_webhooks, make_shop, place_order, run_once, run_until_idle
from tests.stripe_dashboard import know_price, write


@pytest.fixture
def shop(stripe_sandbox: Sandbox, transactional_db: None) -> Shop:
    site_settings.set_value("billing.gateway_renews", True)
    shop = make_shop(stripe_sandbox)
    know_price(shop.price)
    return shop


@pytest.fixture
def renewed(shop: Shop, clock: Clock) -> Order:
    """A running server that Stripe renews."""
    order = place_order(shop, at=clock.now, is_auto_renewed=True)
    shop.sandbox.pay(create_session(order, at=clock.now))
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    assert order.reload().status == OrderStatus.ACTIVE
    return order


def bring_events(shop: Shop, clock: Clock) -> None:
    """Webhooks and workers, twice: nobody is told twice."""
    for _ in range(2):
        deliver_webhooks(shop.sandbox)
        for _ in range(3):
            run_once(clock.pass_by())


def told(shop: Shop) -> str:
    """The one e-mail about the renewal."""
    (message,) = [each for each in mail.outbox if each.subject == "Your subscription is not renewed any more"]
    assert message.to == [shop.customer.email]
    return str(message.body)


def test_the_customer_is_told_that_a_refund_stopped_the_renewal(
    shop: Shop, clock: Clock, renewed: Order, client: Client
) -> None:
    client.force_login(shop.customer)
    assert "Automatic, until you cancel" in client.get(f"/orders/{renewed.pk}/").content.decode()
    params: Any = {"payment_intent": transactions(shop.sandbox)[0]}
    write("refund", lambda stripe: stripe.v1.refunds.create(params))

    bring_events(shop, clock)

    assert GatewaySubscription.objects.get().ended_at is not None
    assert "We refunded a payment for your subscription ($8.00, Monthly)" in told(shop)
    page = client.get(f"/orders/{renewed.pk}/").content.decode()
    assert "and you are not charged again" in page
    assert "Automatic, until you cancel" not in page


def test_the_customer_is_told_that_a_lost_dispute_stopped_the_renewal(shop: Shop, clock: Clock, renewed: Order) -> None:
    dispute = shop.sandbox.dispute(transactions(shop.sandbox)[0])["id"]
    shop.sandbox.close_dispute(dispute, "lost")

    bring_events(shop, clock)

    assert "Your bank took back a payment for your subscription" in told(shop)


def test_a_period_charged_before_the_earlier_one_was_refunded_lifts_the_hold(
    shop: Shop, clock: Clock, renewed: Order
) -> None:
    """The event of the renewal comes after the refund: its money is here, so its period is delivered."""
    first = Payment.objects.get()
    clock.pass_by(timedelta(days=32))
    assert len(transactions(shop.sandbox)) == 2
    refunds.refund_payment(payment=first, amount=first.amount, reason="slow", actor=None, at=clock.now)
    run_once(clock.pass_by())
    assert ServerHold.objects.filter(lifted_at=None, kind=HoldKind.BILLING).exists()

    bring_events(shop, clock)

    assert Payment.objects.exclude(pk=first.pk).get().state == PaymentState.SUCCEEDED
    assert not ServerHold.objects.filter(lifted_at=None).exists()
