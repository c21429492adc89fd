"""Whether an order renews automatically is the customer's choice at checkout, and nothing is saved without it."""

from typing import Any

import pytest
from django.test import Client

from billing.models import BillingMode, PaymentMethod, Subscription
from core import site_settings
from tests.shop import Clock, Shop, deliver_webhooks, form_data, run_until_idle
from tests.stripe_dashboard import know_price

CONFIGURE = "/products/minecraft/configure/"


def buy(shop: Shop, client: Client, **chosen: Any) -> Subscription:
    """What the configurator's form sold, once it is paid."""
    clock = Clock(shop.sandbox)
    client.force_login(shop.customer)
    form = form_data(shop)
    shop.sandbox.pay(client.post(CONFIGURE, form | chosen)["Location"])
    deliver_webhooks(shop.sandbox)
    run_until_idle(clock)
    return Subscription.objects.get()


def test_without_the_choice_no_card_is_saved_and_nothing_renews(shop: Shop, client: Client) -> None:
    subscription = buy(shop, client)

    (intent,) = shop.sandbox.stripe_state()["payment_intent"]
    assert intent["setup_future_usage"] is None
    assert not PaymentMethod.objects.exists()
    assert not subscription.is_auto_renewed
    page = client.get(f"/orders/{subscription.order_item.order_id}/").content.decode()
    assert "charge nothing automatically" in page


def test_a_customer_who_chooses_so_saves_the_card_for_renewals(shop: Shop, client: Client) -> None:
    subscription = buy(shop, client, is_auto_renewed="on")

    (intent,) = shop.sandbox.stripe_state()["payment_intent"]
    assert intent["setup_future_usage"] == "off_session"
    assert PaymentMethod.objects.get().last4 == "4242"
    assert subscription.is_auto_renewed


@pytest.mark.parametrize(("is_chosen", "mode"), [(True, BillingMode.GATEWAY), (False, BillingMode.SELF)])
def test_the_gateway_renews_only_what_the_customer_wants_renewed(
    shop: Shop, is_chosen: bool, mode: BillingMode
) -> None:
    site_settings.set_value("billing.gateway_renews", True)
    know_price(shop.price, "price_1")

    assert shop.order_request(is_auto_renewed=is_chosen).billing_mode == mode
