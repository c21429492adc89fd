"""A customer is sent to the gateway's page only where it asks for what the payment does, and as often."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from billing import checkout, customers, payment_sync, payments
from billing.gateways.base import CheckoutRequest, Interval, LineItem
from billing.models import BillingMode, GatewayPrice, Payment, PaymentState
from core import outside, site_settings
from core.money import Money
from sandbox.client import Sandbox
from tests.billing.sales import Sale, make_sale
from tests.builders import make_addon_price, make_price, make_staff
from tests.shop import form_data, make_shop
from tests.stripe_dashboard import account, know_price, make_stripe_price, write

pytestmark = pytest.mark.django_db(transaction=True)
SESSIONS = "POST /v1/checkout/sessions"
WRONG_PRICES: dict[str, dict[str, Any]] = {
    "amount": {"minor": 900},
    "currency": {"currency": "eur"},
    "year": {"interval": "year"},
    "quarter": {"count": 3},
    "week": {"interval": "week"},
    "amount and year": {"minor": 1234, "interval": "year"},
}


def make_wrong_sale(**wrong: Any) -> Sale:
    """A sale of $8 a month that Stripe renews, whose price at Stripe is another."""
    price = know_price(make_price(), make_stripe_price(**wrong))
    return make_sale(at=timezone.now(), price=price, billing_mode=BillingMode.GATEWAY)


def session_states(sandbox: Sandbox) -> list[str]:
    """The status of each of Stripe's sessions."""
    return [session["status"] for session in sandbox.stripe_state().get("checkout.session", [])]


@pytest.mark.parametrize("wrong", WRONG_PRICES.values(), ids=WRONG_PRICES)
def test_a_page_that_asks_for_something_else_is_expired_and_never_shown(
    stripe_sandbox: Sandbox, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    sale = make_wrong_sale(**wrong)

    with pytest.raises(checkout.SessionMismatch):
        sale.create_session()

    payment = sale.payment.reload()
    assert session_states(stripe_sandbox) == ["expired"]
    assert (payment.state, payment.session_url) == (PaymentState.FAILED, "")
    assert payment.failure.startswith("the payment page asks for")
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert str(payment.pk) in line
    assert str(payment.session_id) in line
    assert payment.failure in line


def test_what_was_asked_and_what_is_wanted_is_named(stripe_sandbox: Sandbox) -> None:
    sale = make_wrong_sale(minor=1234, interval="year")
    with pytest.raises(checkout.SessionMismatch):
        sale.create_session()
    assert sale.payment.reload().failure == (
        "the payment page asks for 12.34 USD and 12.34 USD every 12 months,"
        " the payment for 8.00 USD and 8.00 USD every month"
    )


def test_an_addon_whose_price_at_the_gateway_is_paid_once_is_not_sold_as_recurring(stripe_sandbox: Sandbox) -> None:
    price, addon_price = know_price(make_price()), make_addon_price()
    once: Any = {"currency": "usd", "unit_amount": 250, "product_data": {"name": "1 GB more"}}
    reference = write("price", lambda stripe: stripe.v1.prices.create(once)).id
    GatewayPrice.objects.create(gateway="stripe", addon_price=addon_price, reference=reference)
    sale = make_sale(at=timezone.now(), price=price, addon_prices=[addon_price], billing_mode=BillingMode.GATEWAY)

    with pytest.raises(checkout.SessionMismatch):
        sale.create_session()

    assert sale.payment.reload().failure == (
        "the payment page asks for 10.50 USD and 8.00 USD every month,"
        " the payment for 10.50 USD and 10.50 USD every month"
    )
    assert session_states(stripe_sandbox) == ["expired"]


def test_a_page_that_could_not_be_expired_at_once_is_expired_by_the_poller(stripe_sandbox: Sandbox) -> None:
    sale = make_wrong_sale(minor=900)
    stripe_sandbox.arm("stripe", f"{SESSIONS}/", "status", status=429, times=9)
    with pytest.raises(checkout.SessionMismatch):
        sale.create_session()
    assert (session_states(stripe_sandbox), sale.payment.reload().state) == (["open"], PaymentState.PENDING)
    stripe_sandbox.clear_faults()

    payment_sync.poll_open_payments(at=timezone.now() + timedelta(seconds=31))

    assert (session_states(stripe_sandbox), sale.payment.reload().state) == (["expired"], PaymentState.FAILED)
    assert "9.00 USD" in sale.payment.reload().failure


def test_a_page_that_was_found_after_a_lost_answer_is_compared_too(stripe_sandbox: Sandbox) -> None:
    sale = make_wrong_sale(minor=900)
    stripe_sandbox.arm("stripe", SESSIONS, "lose_answer", times=3)
    with pytest.raises(outside.Unknown):
        sale.create_session()

    payment_sync.poll_open_payments(at=timezone.now() + timedelta(seconds=31))
    assert sale.payment.reload().session_id
    with pytest.raises(checkout.SessionMismatch):
        sale.create_session()

    assert (session_states(stripe_sandbox), sale.payment.reload().state) == (["expired"], PaymentState.FAILED)


def test_the_next_payment_opens_the_page_once_the_price_is_put_right(stripe_sandbox: Sandbox) -> None:
    sale = make_wrong_sale(minor=900)
    with pytest.raises(checkout.SessionMismatch):
        sale.create_session()
    GatewayPrice.objects.update(reference=make_stripe_price())

    again = sale.reopened()

    assert stripe_sandbox.pay(again.create_session()).is_accepted
    payment_sync.sync_payment(payment_id=again.payment.pk, at=timezone.now())
    assert again.payment.reload().state == PaymentState.SUCCEEDED


def test_the_customer_reads_that_nothing_was_charged_and_staff_see_the_reason(
    stripe_sandbox: Sandbox, client: Client
) -> None:
    shop = make_shop(stripe_sandbox)
    site_settings.set_value("billing.gateway_renews", True)
    know_price(shop.price, make_stripe_price(1234, interval="year"))
    client.force_login(shop.customer)
    form = form_data(shop, is_auto_renewed="on")

    page = client.post("/products/minecraft/configure/", form, follow=True)

    assert "We could not open the payment page, and nothing was charged." in page.content.decode()
    payment = Payment.objects.get()
    client.force_login(make_staff(is_superuser=True))
    staff_page = client.get(f"/admin/billing/payment/{payment.pk}/change/").content.decode()
    assert payment.failure
    assert payment.failure in staff_page


def test_the_interval_is_read_although_the_recurring_line_is_on_a_later_page(stripe_sandbox: Sandbox) -> None:
    sale = make_sale(at=timezone.now())
    lines = [LineItem(f"Setup {number}", Money(100, "USD"), 1) for number in range(10)]
    request = CheckoutRequest(
        idempotency_key=str(uuid4()),
        payment_id=sale.payment.pk,
        organization_id=sale.organization.pk,
        customer=customers.ensure_customer(account(), organization=sale.organization, gateway="stripe"),
        lines=[*lines, LineItem("Minecraft 1 GB", Money(800, "USD"), 1, make_stripe_price(interval="year"))],
        success_url="https://shop.example/done",
        cancel_url="https://shop.example/back",
        expires_at=sale.expires_at,
        subscription_id=sale.subscription.pk,
    )

    session = account().create_session(request)

    assert (session.total, session.recurring) == (Money(1800, "USD"), {Interval("month", 12): Money(800, "USD")})
    payments.fail(payment_id=sale.payment.pk, reason="only its session was of interest", at=timezone.now())
