"""Going to the hosted page and paying there, over real HTTP, whatever becomes of the answers."""

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from billing import checkout, payments, polling
from billing.gateways.base import KEY_MISMATCH, CheckoutRequest, CheckoutSession
from billing.gateways.stripe import client, pages
from billing.models import AccountKind, GatewayCustomer, Payment, PaymentMethod, PaymentState
from core import outside
from core.money import Money
from sandbox.client import Sandbox
from tests.billing.sales import Sale, balance, make_sale
from tests.sandbox_fixtures import STRIPE_KEY

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


def test_the_page_carries_our_marks_on_session_and_payment(sale: Sale, stripe_sandbox: Sandbox) -> None:
    url = sale.page()
    session = sessions(stripe_sandbox)[0]
    marks = {"payment": str(sale.payment.pk), "organization": str(sale.organization.pk)}

    assert session["url"] == url
    assert session["metadata"] == marks
    assert session["client_reference_id"] == str(sale.payment.pk)
    assert (session["amount_total"], session["currency"], session["mode"]) == (800, "usd", "payment")
    assert session["customer"] == GatewayCustomer.objects.get().reference

    assert stripe_sandbox.pay(url).is_accepted
    intent = stripe_sandbox.stripe_state()["payment_intent"][0]
    assert (intent["metadata"], intent["setup_future_usage"]) == (marks, "off_session")


def test_a_paid_page_settles_and_the_card_is_kept_for_renewals(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.page(), card="pm_card_mastercard")

    polling.look_at(payment_id=sale.payment.pk, at=timezone.now())

    payment = sale.payment.reload()
    assert (payment.state, payment.method_label) == (PaymentState.SUCCEEDED, "Mastercard ending 4444")
    method = PaymentMethod.objects.get()
    assert (method.brand, method.last4, method.is_default) == ("mastercard", "4444", True)
    assert method.expires_on is not None
    assert balance(AccountKind.REVENUE) == 800


def test_asking_again_gives_the_same_page(sale: Sale, stripe_sandbox: Sandbox) -> None:
    assert sale.page() == sale.page()
    assert len(stripe_sandbox.requests("stripe", SESSIONS)) == 1


def test_a_repeat_asks_for_the_addresses_of_the_first_time(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "lose_answer", times=3)
    with pytest.raises(outside.Unknown):
        sale.page()

    url = checkout.create_session(
        payment_id=sale.payment.pk, success_url="https://other.example/", cancel_url="x", at=timezone.now()
    )

    assert [session["url"] for session in sessions(stripe_sandbox)] == [url]
    assert sessions(stripe_sandbox)[0]["success_url"] == "https://shop.example/done"
    assert sale.payment.reload().success_url == "https://shop.example/done"
    assert len(stripe_sandbox.requests("stripe", READS)) == 0, "the key still fitted: nothing had to be looked up"


def test_lost_answers_and_two_tabs_end_in_one_page(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "lose_answer", times=1)
    urls: list[str] = []

    def open_tab() -> None:
        try:
            urls.append(sale.page())
        finally:
            connection.close()

    tabs = [Thread(target=open_tab) for _ in range(2)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()

    assert len(sessions(stripe_sandbox)) == 1
    assert set(urls) == {sessions(stripe_sandbox)[0]["url"]}


def test_an_unheard_page_is_found_by_its_mark_and_settled(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "lose_answer", times=3)
    with pytest.raises(outside.Unknown):
        sale.page()
    assert sale.payment.reload().session_id is None
    stripe_sandbox.pay(sessions(stripe_sandbox)[0]["url"])

    polling.poll_open_payments(at=timezone.now() + timedelta(seconds=31))

    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_a_page_whose_payment_ended_while_it_was_made_is_closed_and_never_shown(
    sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = pages.create

    def create_while_the_order_is_canceled(request: CheckoutRequest) -> CheckoutSession:
        page = create(request)
        payments.expire(payment_id=sale.payment.pk, at=timezone.now())
        return page

    monkeypatch.setattr(pages, "create", create_while_the_order_is_canceled)

    with pytest.raises(checkout.CheckoutClosed):
        sale.page()
    assert [session["status"] for session in sessions(stripe_sandbox)] == ["expired"]


def test_a_used_key_whose_page_was_paid_leaves_the_payment_to_the_poller(
    sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "lose_answer", times=3)
    with pytest.raises(outside.Unknown):
        sale.page()
    stripe_sandbox.pay(sessions(stripe_sandbox)[0]["url"])

    def refuse(request: CheckoutRequest) -> CheckoutSession:
        raise outside.Rejected(f"used: {request.idempotency_key}", status=400, code=KEY_MISMATCH)

    monkeypatch.setattr(pages, "create", refuse)
    with pytest.raises(checkout.CheckoutClosed):
        sale.page()
    assert sale.payment.reload().state == PaymentState.PENDING

    polling.poll_open_payments(at=timezone.now() + timedelta(seconds=31))
    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_a_page_is_found_behind_others_and_every_answer_on_the_way_may_fail(
    sale: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PER_PAGE", 1)
    sale.page()
    make_sale(at=timezone.now(), organization=sale.organization).page()
    customer = GatewayCustomer.objects.get().reference
    assert customer is not None

    found = pages.find(customer=customer, payment_id=sale.payment.pk)
    assert found is not None
    assert found.payment_id == sale.payment.pk

    stripe_sandbox.arm("stripe", READS, "status", status=429, after=1)
    with pytest.raises(outside.Unavailable):
        pages.find(customer=customer, payment_id=sale.payment.pk)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_read_is_waited_for(sale: Sale, stripe_sandbox: Sandbox, status: int) -> None:
    sale.page()
    reference = sale.payment.reload().session_id
    assert reference is not None
    stripe_sandbox.arm("stripe", READS, "status", status=status)

    with pytest.raises(outside.Unavailable):
        pages.read(reference)


def test_a_failure_that_stripe_remembers_ends_the_payment_instead_of_repeating_it(
    sale: Sale, stripe_sandbox: Sandbox
) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "status", status=500, times=1)
    with pytest.raises(outside.Rejected):
        sale.page()
    assert sale.payment.reload().state == PaymentState.FAILED

    again = sale.reopened()
    assert again.payment.pk != sale.payment.pk
    assert again.payment.idempotency_key != sale.payment.idempotency_key


def test_a_wrong_key_of_ours_does_not_end_the_payment(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "status", status=401, times=1)
    with pytest.raises(outside.Rejected):
        sale.page()
    assert sale.payment.reload().state == PaymentState.PENDING
    assert sale.page()


def test_a_customer_deleted_at_stripe_is_made_anew(sale: Sale, stripe_sandbox: Sandbox) -> None:
    GatewayCustomer.objects.create(organization=sale.organization, gateway="stripe", reference="cus_gone")
    with pytest.raises(outside.Rejected):
        sale.page()

    again = sale.reopened()
    assert again.page()


def test_too_many_requests_change_nothing(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", SESSIONS, "status", status=429, times=1)
    with pytest.raises(outside.Unavailable):
        sale.page()
    assert sale.page()


def test_a_page_is_not_opened_after_its_time_nor_for_a_settled_payment(sale: Sale) -> None:
    with pytest.raises(checkout.CheckoutClosed):
        sale.page(at=timezone.now() + timedelta(minutes=46))
    sale.settle(at=timezone.now())
    with pytest.raises(checkout.CheckoutClosed):
        sale.page()


def test_the_library_refuses_to_be_called_inside_a_transaction(sale: Sale, stripe_sandbox: Sandbox) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="inside a database transaction"):
        pages.read("cs_test_1")
    assert stripe_sandbox.requests("stripe") == []


def test_an_amount_in_whole_yen_arrives_as_whole_yen(stripe_sandbox: Sandbox) -> None:
    sale = make_sale(minor=1200, currency="JPY", at=timezone.now())
    stripe_sandbox.pay(sale.page())
    polling.look_at(payment_id=sale.payment.pk, at=timezone.now())
    assert sale.payment.reload().received == Money(1200, "JPY")
    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_a_page_asked_for_late_stays_open_long_enough_for_stripe(sale: Sale, stripe_sandbox: Sandbox) -> None:
    Payment.objects.update(expires_at=timezone.now() + timedelta(minutes=20))
    assert sale.page()
    shown = sessions(stripe_sandbox)[0]["expires_at"]
    assert shown == int(sale.reloaded().expires_at.timestamp())
    assert shown >= stripe_sandbox.now() + 29 * 60


def test_a_page_asked_for_too_late_makes_way_for_another_payment(sale: Sale, stripe_sandbox: Sandbox) -> None:
    Payment.objects.update(expires_at=timezone.now() + timedelta(minutes=10))
    with pytest.raises(checkout.CheckoutClosed):
        sale.page()
    assert sessions(stripe_sandbox) == []
    assert sale.reopened().page()


def test_a_customer_whose_making_failed_for_good_is_made_under_another_key(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", "POST /v1/customers", "status", status=500, times=1)
    with pytest.raises(outside.Unknown):
        sale.page()
    assert sale.page()


def test_the_pages_address_is_not_readable_in_the_database(sale: Sale) -> None:
    url = sale.page()
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
        sale.page()
    assert STRIPE_KEY not in f"{refused.value} {sale.payment.reload().failure} {caplog.text}"
