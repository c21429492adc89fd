"""Checkout sessions are created and paid over real HTTP, whatever happens to the answers."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from billing import checkout, checkout_options, customers, payment_sync, payments, saved_charges
from billing.gateways.base import KEY_MISMATCH, CheckoutRequest, CheckoutSession
from billing.gateways.stripe import StripeDriver, client
from billing.models import AccountKind, GatewayCustomer, Payment, PaymentMethod, PaymentState
from core import outside
from core.money import Money
from sandbox.client import Sandbox
from tests.billing.sales import Sale, balance, make_sale
from tests.billing.saved_methods import save_card
from tests.sandbox_fixtures import STRIPE_KEY
from tests.stripe_dashboard import account
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
SESSIONS = "POST /v1/checkout/sessions"
READS = "GET /v1/checkout/sessions"


@pytest.fixture
def sale(stripe_sandbox: Sandbox) -> Sale:
    """An order placed now."""
    return make_sale(at=timezone.now())


def sessions(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Stripe's sessions."""
    return sandbox.stripe_state().get("checkout.session", [])


def test_session_and_payment_intent_carry_our_ids(sale: Sale, stripe_sandbox: Sandbox) -> None:
    url = sale.create_session()
    session = sessions(stripe_sandbox)[0]
    metadata = {"payment": str(sale.payment.pk), "organization": str(sale.organization.pk)}

    assert session["url"] == url
    assert session["metadata"] == metadata
    assert session["client_reference_id"] == str(sale.payment.pk)
    assert (session["amount_total"], session["currency"], session["mode"]) == (800, "usd", "payment")
    assert session["customer"] == GatewayCustomer.objects.get().reference

    assert stripe_sandbox.pay(url).is_accepted
    intent = stripe_sandbox.stripe_state()["payment_intent"][0]
    assert (intent["metadata"], intent["setup_future_usage"]) == (metadata, "off_session")


def test_a_paid_session_settles_and_the_card_is_saved_for_renewals(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session(), card="pm_card_mastercard")

    payment_sync.sync_payment(payment_id=sale.payment.pk, at=timezone.now())

    payment = sale.payment.reload()
    assert (payment.state, payment.method_label) == (PaymentState.SUCCEEDED, "Mastercard ending 4444")
    method = PaymentMethod.objects.get()
    assert (method.brand, method.last4, method.is_default) == ("mastercard", "4444", True)
    assert method.expires_on is not None
    assert balance(AccountKind.REVENUE) == 800


def test_a_repeat_gives_the_same_session(sale: Sale, stripe_sandbox: Sandbox) -> None:
    assert sale.create_session() == sale.create_session()
    assert len(stripe_sandbox.requests("stripe", SESSIONS)) == 1


def test_a_repeat_uses_the_addresses_of_the_first_call(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "lose_answer", times=3)
    with pytest.raises(outside.Unknown):
        sale.create_session()

    url = checkout.create_session(
        payment=sale.payment, success_url="https://other.example/", cancel_url="x", at=timezone.now()
    )

    assert [session["url"] for session in sessions(stripe_sandbox)] == [url]
    assert sessions(stripe_sandbox)[0]["success_url"] == "https://shop.example/done"
    assert sale.payment.reload().success_url == "https://shop.example/done"
    assert len(stripe_sandbox.requests("stripe", READS)) == 0, "the key was still good: nothing had to be searched"


def test_a_lost_answer_and_two_tabs_end_in_one_session(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "lose_answer", times=1)
    urls: list[str] = []

    assert run_at_once(lambda: urls.append(sale.create_session()), times=2) == []

    assert len(sessions(stripe_sandbox)) == 1
    assert set(urls) == {sessions(stripe_sandbox)[0]["url"]}


def test_a_session_whose_payment_ended_while_it_was_created_is_expired_and_never_shown(
    sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = StripeDriver.create_session

    def create_while_the_order_is_canceled(driver: StripeDriver, request: CheckoutRequest) -> CheckoutSession:
        session = create(driver, request)
        payments.expire(payment_id=sale.payment.pk, at=timezone.now())
        return session

    monkeypatch.setattr(StripeDriver, "create_session", create_while_the_order_is_canceled)

    with pytest.raises(checkout.CheckoutClosed):
        sale.create_session()
    assert [session["status"] for session in sessions(stripe_sandbox)] == ["expired"]


@pytest.mark.parametrize("choice", ["saved card", "other channel"])
def test_no_session_is_created_where_the_customer_chose_another_way_meanwhile(
    choice: str, sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, now, ensure = save_card(sale.organization, "pm_card_visa"), timezone.now(), customers.ensure_customer

    def choose_meanwhile(*args: Any, **kwargs: Any) -> str:
        if choice == "saved card":
            decision = saved_charges.charge_payment(payment=sale.payment, method=method, at=now)
            assert decision is saved_charges.ChargeDecision.REQUESTED
        else:
            option = checkout_options.CheckoutOption("stripe", "debit", "Debit", sale.payment.amount)
            assert checkout_options.choose_option(payment=sale.payment, option=option).channel == "debit"
        return ensure(*args, **kwargs)

    monkeypatch.setattr(customers, "ensure_customer", choose_meanwhile)
    with pytest.raises(checkout.CheckoutClosed if choice == "saved card" else outside.Unavailable):
        sale.create_session()

    assert sessions(stripe_sandbox) == []
    payment = sale.payment.reload()
    assert (payment.state, payment.session_requested_at) == (PaymentState.PENDING, None)


def test_a_used_key_whose_session_was_paid_leaves_the_payment_to_the_poller(
    sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "lose_answer", times=3)
    with pytest.raises(outside.Unknown):
        sale.create_session()
    stripe_sandbox.pay(sessions(stripe_sandbox)[0]["url"])

    def refuse(_driver: StripeDriver, request: CheckoutRequest) -> CheckoutSession:
        raise outside.Rejected(f"used: {request.idempotency_key}", status=400, code=KEY_MISMATCH)

    monkeypatch.setattr(StripeDriver, "create_session", refuse)
    with pytest.raises(checkout.CheckoutClosed):
        sale.create_session()
    assert sale.payment.reload().state == PaymentState.PENDING

    payment_sync.poll_open_payments(at=timezone.now() + timedelta(seconds=31))
    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_a_session_is_found_on_a_later_list_page_and_any_of_the_calls_may_fail(
    sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PER_PAGE", 1)
    sale.create_session()
    make_sale(at=timezone.now(), organization=sale.organization).create_session()
    customer = GatewayCustomer.objects.get().reference
    assert customer is not None

    (found,) = account().find_sessions(customer=customer, payment_id=sale.payment.pk, attempts=1)
    assert found.payment_id == sale.payment.pk

    stripe_sandbox.arm("stripe", READS, "status", status=429, after=1)
    with pytest.raises(outside.Unavailable):
        account().find_sessions(customer=customer, payment_id=sale.payment.pk, attempts=1)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_read_counts_as_unavailable(sale: Sale, stripe_sandbox: Sandbox, status: int) -> None:
    sale.create_session()
    reference = sale.payment.reload().session_id
    assert reference is not None
    stripe_sandbox.arm("stripe", READS, "status", status=status)

    with pytest.raises(outside.Unavailable):
        account().read_session(reference)


def test_a_failure_that_stripe_replays_ends_the_payment(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "status", status=500, times=1)
    with pytest.raises(outside.Rejected):
        sale.create_session()
    assert sale.payment.reload().state == PaymentState.FAILED

    again = sale.reopened()
    assert again.payment.pk != sale.payment.pk
    assert again.payment.idempotency_key != sale.payment.idempotency_key


def test_a_wrong_api_key_does_not_end_the_payment(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "status", status=401, times=1)
    with pytest.raises(outside.Rejected):
        sale.create_session()
    assert sale.payment.reload().state == PaymentState.PENDING
    assert sale.create_session()


def test_a_customer_deleted_at_stripe_is_created_again(sale: Sale, stripe_sandbox: Sandbox) -> None:
    GatewayCustomer.objects.create(organization=sale.organization, gateway="stripe", reference="cus_gone")
    with pytest.raises(outside.Rejected):
        sale.create_session()

    again = sale.reopened()
    assert again.create_session()


def test_too_many_requests_change_nothing(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "status", status=429, times=1)
    with pytest.raises(outside.Unavailable):
        sale.create_session()
    assert sale.create_session()


def test_no_session_is_created_for_an_expired_or_settled_payment(sale: Sale) -> None:
    with pytest.raises(checkout.CheckoutClosed):
        sale.create_session(at=timezone.now() + timedelta(minutes=46))
    sale.settle(at=timezone.now())
    with pytest.raises(checkout.CheckoutClosed):
        sale.create_session()


def test_stripe_is_never_called_inside_a_transaction(sale: Sale, stripe_sandbox: Sandbox) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="inside a database transaction"):
        account().read_session("cs_test_1")
    assert stripe_sandbox.requests("stripe") == []


def test_an_amount_in_whole_yen_arrives_as_whole_yen(stripe_sandbox: Sandbox) -> None:
    sale = make_sale(minor=1200, currency="JPY", at=timezone.now())
    stripe_sandbox.pay(sale.create_session())
    payment_sync.sync_payment(payment_id=sale.payment.pk, at=timezone.now())
    assert sale.payment.reload().received == Money(1200, "JPY")
    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_a_session_created_late_stays_open_for_stripes_minimum(sale: Sale, stripe_sandbox: Sandbox) -> None:
    Payment.objects.update(expires_at=timezone.now() + timedelta(minutes=20))
    assert sale.create_session()
    shown = sessions(stripe_sandbox)[0]["expires_at"]
    assert shown == int(sale.reloaded().expires_at.timestamp())
    assert shown >= stripe_sandbox.now() + 29 * 60


def test_a_session_requested_too_late_fails_and_another_payment_can_be_opened(
    sale: Sale, stripe_sandbox: Sandbox
) -> None:
    Payment.objects.update(expires_at=timezone.now() + timedelta(minutes=10))
    with pytest.raises(checkout.CheckoutClosed):
        sale.create_session()
    assert sessions(stripe_sandbox) == []
    assert sale.reopened().create_session()


def test_a_customer_whose_creation_failed_is_created_under_another_key(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", "POST /v1/customers", "status", status=500, times=1)
    with pytest.raises(outside.Unknown):
        sale.create_session()
    assert sale.create_session()


def test_the_address_of_a_session_is_encrypted_in_the_database(sale: Sale) -> None:
    url = sale.create_session()
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_url FROM billing_payment")
        (stored,) = cursor.fetchone()
    assert stored
    assert url not in stored


def test_neither_errors_nor_logs_name_the_key(
    sale: Sale, stripe_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    stripe_sandbox.arm("stripe", SESSIONS, "status", status=400, times=1)
    with pytest.raises(outside.Rejected) as refused:
        sale.create_session()
    assert STRIPE_KEY not in f"{refused.value} {sale.payment.reload().failure} {caplog.text}"
