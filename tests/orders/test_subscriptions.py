"""The customer's subscriptions: what they say, and what the customer does there, also with what Stripe renews."""

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client

from billing import subscriptions
from billing.models import GatewaySubscription, Invoice, Subscription, SubscriptionStatus
from core import formats, site_settings
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from servers.models import HoldKind, ServerHold
from tests.shop import Clock, Shop, create_session, deliver_webhooks, make_shop, place_order, run_once, run_until_idle
from tests.stripe_dashboard import know_price

CANCELED = "Your subscription is canceled"


@pytest.fixture
def shop(stripe_sandbox: Sandbox, transactional_db: None) -> Shop:
    return make_shop(stripe_sandbox)


def buy(shop: Shop, clock: Clock) -> Order:
    """A running server."""
    order = place_order(shop, at=clock.now, is_auto_renewed=True)
    shop.sandbox.pay(create_session(order, at=clock.now))
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    assert order.reload().status == OrderStatus.ACTIVE
    return order


def test_a_customer_cancels_what_stripe_renews_and_is_charged_no_more(shop: Shop, clock: Clock, client: Client) -> None:
    site_settings.set_value("billing.gateway_renews", True)
    know_price(shop.price)
    order = buy(shop, clock)
    client.force_login(shop.customer)
    subscription = Subscription.objects.get()
    assert (
        "The payment service that you subscribed with charges you then."
        in client.get("/subscriptions/").content.decode()
    )
    page = f"/subscriptions/{subscription.pk}/cancel/"
    assert "Your server runs until then" in client.get(page).content.decode()
    assert "Its data is deleted on" in client.get(page).content.decode()
    assert client.post(page).status_code == 422  # a reason is asked for

    for _ in range(2):
        assert client.post(page, {"reason": "too_expensive", "comment": "Sorry"}).status_code == 302
    run_once(clock.pass_by())

    assert GatewaySubscription.objects.get().ended_at is not None
    (message,) = [each for each in mail.outbox if each.subject == CANCELED]
    assert message.to == [shop.customer.email]
    assert order.items.get().server_name in str(message.body)
    deleted = Subscription.objects.get().deletion_after_period
    assert deleted is not None
    assert formats.instant(deleted) in str(message.body)
    assert "Ends" in client.get("/dashboard/").content.decode()
    clock.pass_by(timedelta(days=32))
    deliver_webhooks(shop.sandbox)
    subscriptions.end_due(at=clock.now)
    for _ in range(3):
        run_once(clock.pass_by())
    ended = Subscription.objects.get()
    assert ended.status == SubscriptionStatus.ENDED
    assert ended.deletion_due_at is not None
    assert Invoice.objects.count() == 1
    assert ServerHold.objects.filter(lifted_at=None, kind=HoldKind.BILLING).exists()


def test_the_server_and_the_dashboard_say_when_it_renews(shop: Shop, clock: Clock, client: Client) -> None:
    """Not by itself: the stand-in's card was saved, and is removed."""
    order = buy(shop, clock)
    client.force_login(shop.customer)
    pages = ("/dashboard/", "/subscriptions/", f"/servers/{order.items.get().server_id}/")
    for page in pages:
        assert "Renews" in client.get(page).content.decode(), page
    subscription = Subscription.objects.get()
    switch = f"/subscriptions/{subscription.pk}/auto-renewal/"

    client.post(switch, {"is_auto_renewed": "off"})
    assert not subscription.reload().is_auto_renewed
    for page in pages:
        text = client.get(page).content.decode()
        assert "Paid until" in text, page
        assert "Renews" not in text, page

    shop.organization.payment_methods.all().delete()
    answer = client.post(switch, {"is_auto_renewed": "on"}, follow=True)
    assert "Nothing could be charged for the next period" in answer.content.decode()
    assert not subscription.reload().is_auto_renewed
    client.post(f"/subscriptions/{subscription.pk}/cancel/", {"reason": "other"})
    client.post(f"/subscriptions/{subscription.pk}/resume/")
    assert not subscription.reload().cancels_at_period_end


def test_an_unpaid_order_is_shown_above_no_servers_yet(shop: Shop, clock: Clock, client: Client) -> None:
    place_order(shop, at=clock.now, server_name="saturday")
    client.force_login(shop.customer)
    for page in ("/dashboard/", "/servers/"):
        text = client.get(page).content.decode()
        assert 0 < text.index("saturday") < text.index("No servers yet"), page
