"""What a gateway cannot do decides what a customer is offered and told, from the configurator to a canceled order."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.ledger_audit import broken_rules
from billing.models import GatewayAccount, InvoiceState, Payment, PaymentState, RefundState
from core.models import AuditEntry
from orders import cancellation
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from support.models import Delivery
from tests.billing.sales import wallet_balance
from tests.builders import make_staff
from tests.gateways.adapters import Tripay
from tests.shop import Clock, Shop, make_shop, place_order, run_once, run_until_idle

PRICE = "Rp 150.000"


@pytest.fixture
def shop(sandbox: Sandbox, transactional_db: None, tripay: Tripay) -> Shop:
    shop = make_shop(sandbox, minor=tripay.minor, currency=tripay.currency)
    shop.organization.currency = tripay.currency
    shop.organization.save()
    return shop


@pytest.fixture
def clock(shop: Shop) -> Clock:
    return Clock(shop.sandbox)


@pytest.fixture
def browser(shop: Shop, client: Client) -> Client:
    client.force_login(shop.customer)
    return client


def pass_by(clock: Clock, tripay: Tripay, step: timedelta) -> None:
    """Let time pass everywhere, with workers and scheduled jobs running."""
    tripay.advance(step.total_seconds())
    run_once(clock.pass_by(step))


def choose(order: Order, browser: Client, option: str = "tripay:BCAVA") -> str:
    """Choose how to pay; where the browser is sent."""
    answer = browser.post(reverse("orders:choose_payment", kwargs={"pk": order.pk}), {"option": option})
    assert answer.status_code == 303
    return str(answer["Location"])


def paid_order(shop: Shop, browser: Client, tripay: Tripay, clock: Clock) -> Order:
    """An order that was paid at Tripay, after all work that came of it."""
    order = place_order(shop, at=clock.now)
    choose(order, browser)
    tripay.pay(tripay.sessions()[0])
    run_until_idle(clock)
    return order


def page_of(order: Order, browser: Client) -> str:
    return browser.get(reverse("orders:progress", kwargs={"pk": order.pk})).content.decode()


def test_the_customer_chooses_a_channel_and_sees_its_fee(shop: Shop, browser: Client, tripay: Tripay) -> None:
    order = place_order(shop)
    answer = browser.post(reverse("orders:pay", kwargs={"pk": order.pk}), follow=True)
    page = " ".join(answer.content.decode().split())

    assert f"Your order costs {PRICE}" in page.replace("\xa0", " ")
    assert "BRI Virtual Account" in page
    assert "No fee" in page
    assert "Rp 5.500 fee, Rp 155.500 in total" in page.replace("\xa0", " ")
    assert "Maybank" not in page, "inactive"
    assert "Stripe" not in page, "it does not take rupiah here"

    url = choose(order, browser)

    (transaction,) = tripay.sandbox.transactions.values()
    assert (url, transaction["payment_method"]) == (transaction["checkout_url"], "BCAVA")
    assert transaction["customer_email"] == shop.organization.billing_email
    assert browser.get(reverse("orders:choose_payment", kwargs={"pk": order.pk})).status_code == 302, "chosen"


def test_of_several_accounts_the_customer_chooses_one(
    shop: Shop, browser: Client, tripay: Tripay, stripe_sandbox: Sandbox
) -> None:
    GatewayAccount.objects.filter(code="stripe").update(currencies=[], position=9)
    order = place_order(shop)
    options = browser.get(reverse("orders:choose_payment", kwargs={"pk": order.pk})).context["options"]
    assert [option.value for option in options][-1] == "stripe:"
    assert [option.gateway for option in options] == ["tripay"] * 6 + ["stripe"]

    assert choose(order, browser, "stripe:").startswith(stripe_sandbox.base_url)

    assert Payment.objects.get().gateway == "stripe"
    assert tripay.sessions() == []


def test_the_page_of_the_choice_reads_the_accounts_once(shop: Shop, browser: Client, tripay: Tripay) -> None:
    order = place_order(shop)

    with CaptureQueriesContext(connection) as asked:
        page = browser.get(reverse("orders:choose_payment", kwargs={"pk": order.pk}))

    assert page.status_code == 200
    assert sum('FROM "billing_gatewayaccount"' in query["sql"] for query in asked) == 1


@pytest.mark.parametrize("option", ["", "tripay:MYBVA", "tripay:", "stripe:", "nobody:x"])
def test_what_is_not_offered_cannot_be_chosen(shop: Shop, browser: Client, tripay: Tripay, option: str) -> None:
    order = place_order(shop)
    answer = browser.post(reverse("orders:choose_payment", kwargs={"pk": order.pk}), {"option": option})

    assert (answer.status_code, "Choose one of these payment methods." in answer.content.decode()) == (422, True)
    assert tripay.sessions() == []


def test_renewal_is_not_offered_where_nothing_can_charge_again(shop: Shop, browser: Client) -> None:
    address = reverse("storefront:configure", kwargs={"slug": shop.price.plan.product.slug})
    page = browser.get(address).content.decode()
    assert "Renew automatically" not in page
    assert "charge nothing automatically" in page

    GatewayAccount.objects.filter(code="stripe").update(currencies=[])
    assert "Renew automatically" in browser.get(address).content.decode()


def test_an_order_whose_page_cannot_be_closed_is_not_canceled_and_ends_by_itself(
    shop: Shop, browser: Client, tripay: Tripay, clock: Clock
) -> None:
    order = place_order(shop, at=clock.now)
    assert 'id="cancel"' in page_of(order, browser)
    choose(order, browser)
    page = page_of(order, browser)
    assert 'id="cancel"' not in page
    assert "do not pay there" in page

    answer = browser.post(reverse("orders:cancel", kwargs={"pk": order.pk}), follow=True).content.decode()

    assert "cannot be closed from here" in answer
    assert "You were not charged" not in answer
    assert order.reload().status == OrderStatus.PENDING_PAYMENT
    pass_by(clock, tripay, timedelta(minutes=46))
    run_until_idle(clock)
    assert order.reload().status == OrderStatus.CANCELED
    assert "You were not charged" in page_of(order, browser)


def test_an_order_that_is_paid_although_the_customer_tried_to_cancel_is_delivered(
    shop: Shop, browser: Client, tripay: Tripay, clock: Clock
) -> None:
    order = place_order(shop, at=clock.now)
    choose(order, browser)
    browser.post(reverse("orders:cancel", kwargs={"pk": order.pk}))

    assert tripay.pay(tripay.sessions()[0])
    run_until_idle(clock)

    assert order.reload().status == OrderStatus.ACTIVE


def test_a_bank_that_confirms_after_the_order_expired_revives_it(
    shop: Shop, browser: Client, tripay: Tripay, clock: Clock
) -> None:
    order = place_order(shop, at=clock.now)
    choose(order, browser)
    pass_by(clock, tripay, timedelta(minutes=46))
    run_until_idle(clock)
    assert order.reload().status == OrderStatus.CANCELED

    tripay.sandbox.change(tripay.sessions()[0], "PAID")
    for message in tripay.signed():
        assert Client().post("/webhooks/tripay/", **message).json() == {"success": True}
    run_until_idle(clock)

    assert order.reload().status == OrderStatus.ACTIVE


def test_an_order_that_cannot_be_delivered_becomes_credit_and_page_and_email_say_so(
    shop: Shop, browser: Client, tripay: Tripay, clock: Clock
) -> None:
    order = place_order(shop, at=clock.now)
    choose(order, browser)
    tripay.pay(tripay.sessions()[0])
    Payment.objects.update(poll_at=clock.now)
    shop.sandbox.arm("pterodactyl", "POST /api/application/servers", "status", status=422, times=0)
    run_until_idle(clock)
    assert order.reload().status == OrderStatus.FAILED

    staff = make_staff()
    cancellation.cancel_paid(order_id=order.pk, reason="cannot be built", actor=staff, at=clock.now)

    assert order.reload().status == OrderStatus.CANCELED
    assert order.invoice.reload().state == InvoiceState.REFUNDED
    assert Payment.objects.get().state == PaymentState.SUCCEEDED
    assert wallet_balance(shop.organization, tripay.currency) == tripay.minor
    assert "you paid is in your wallet now" in page_of(order, browser)
    told = Delivery.objects.get(reference=f"order.canceled:{order.pk}")
    assert "you paid is in your wallet now" in " ".join(told.body.split())


def test_staff_are_told_that_the_gateway_sends_no_money_back(
    shop: Shop, browser: Client, tripay: Tripay, clock: Clock
) -> None:
    paid_order(shop, browser, tripay, clock)
    payment = Payment.objects.get()
    browser.force_login(make_staff(is_superuser=True))
    address = f"/admin/billing/payment/{payment.pk}/refund/"
    form = browser.get(address).content.decode()
    assert "cannot send money back" in form

    browser.post(address, {"_form_submitted": "True", "amount": "150000", "reason": "slow", "seen": "0"})

    assert wallet_balance(shop.organization, tripay.currency) == tripay.minor
    assert not payment.refunds.exists()


def test_credit_that_staff_submit_twice_is_given_once(
    shop: Shop, browser: Client, tripay: Tripay, clock: Clock
) -> None:
    paid_order(shop, browser, tripay, clock)
    browser.force_login(make_staff(is_superuser=True))
    address = f"/admin/billing/payment/{Payment.objects.get().pk}/refund/"

    for _press in range(2):
        browser.post(address, {"_form_submitted": "True", "amount": "50000", "reason": "slow", "seen": "0"})

    assert wallet_balance(shop.organization, tripay.currency) == 50_000_00


def test_money_that_staff_sent_back_by_hand_is_booked_once(
    shop: Shop, browser: Client, tripay: Tripay, clock: Clock
) -> None:
    order = paid_order(shop, browser, tripay, clock)
    payment = Payment.objects.get()
    assert payment.settled_at is not None
    browser.force_login(make_staff(is_superuser=True))
    sent: dict[str, object] = {"reference": "RF-1", "sent_on": payment.settled_at.date(), "reason": "slow"}
    address = f"/admin/billing/payment/{payment.pk}/manual-refund/"

    for amount in ("50000", "50000", "150000"):  # submitted twice, then more than what is left
        browser.post(address, {"_form_submitted": "True", "amount": amount, **sent})
    refund = payment.refunds.get()
    assert (refund.amount_minor, refund.state, refund.reason) == (50_000_00, RefundState.SUCCEEDED, "slow")
    assert AuditEntry.objects.get(action="payment.manual_refund").entity_id == str(payment.pk)
    assert order.reload().invoice.state == InvoiceState.PAID

    browser.post(address, {"_form_submitted": "True", "amount": "100000", **sent, "reference": "RF-2"})
    assert payment.reload().state == PaymentState.REFUNDED
    assert order.invoice.reload().state == InvoiceState.REFUNDED
    assert broken_rules() == {}
