"""What somebody does at Stripe itself: our account's own calls, made by hand."""

from collections.abc import Callable
from typing import Any

import stripe

from billing.gateways.base import driver_of
from billing.gateways.stripe import StripeDriver
from billing.models import GatewayPrice
from catalog.models import PlanPrice


def account() -> StripeDriver:
    """The account that tests use."""
    driver = driver_of("stripe")
    assert isinstance(driver, StripeDriver)
    return driver


def read[Answer](call: str, request: Callable[[stripe.StripeClient], Answer]) -> Answer:
    """Read something."""
    return account().read(call, request)


def write[Answer](call: str, request: Callable[[stripe.StripeClient], Answer]) -> Answer:
    """Change something."""
    return account().write(call, request)


def make_stripe_price(minor: int = 800, *, currency: str = "usd", interval: str = "month", count: int = 1) -> str:
    """A recurring price at Stripe."""
    params: Any = {
        "currency": currency,
        "unit_amount": minor,
        "recurring": {"interval": interval, "interval_count": count},
        "product_data": {"name": "Minecraft 1 GB"},
    }
    return str(write("price", lambda stripe: stripe.v1.prices.create(params)).id)


def know_price(price: PlanPrice, reference: str = "") -> PlanPrice:
    """Name our price's own at Stripe, made to agree with it unless one is given."""
    GatewayPrice.objects.create(
        gateway="stripe", plan_price=price, reference=reference or make_stripe_price(price.amount_minor)
    )
    return price


def make_again(intent: str, method: str = "pm_card_visa") -> None:
    """Charge a PaymentIntent that failed once more, with this method."""
    params: Any = {"payment_method": method}
    write("retry", lambda stripe: stripe.v1.payment_intents.confirm(intent, params))
