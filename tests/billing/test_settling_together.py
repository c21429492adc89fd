"""Payments that are due together are settled in one transaction, and end as if each had been settled by itself."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import events, gateway_sync, payments
from billing.gateways.base import CheckoutSession
from billing.gateways.stripe import StripeDriver
from billing.models import (
    AccountKind,
    GatewayEvent,
    Invoice,
    InvoiceState,
    PaymentState,
    Period,
    SubscriptionStatus,
)
from core import outside, work
from core.models import WorkState
from core.money import Money
from sandbox.client import Sandbox
from tests.billing.sales import NOON, Sale, balance, make_sale, run_commit_triggers, run_due, wallet_balance
from tests.builders import make_organization
from tests.shop import deliver_webhooks


def settle_expected(sales: Sequence[Sale], **changes: Any) -> set[Any]:
    arrived = {sale.payment.pk: sale.gateway_payment(**changes) for sale in sales}
    return set(payments.settle_expected(arrived, at=NOON))


def is_paid(sale: Sale) -> bool:
    """Whether payment, invoice and subscription agree that it is, and the credit is used up."""
    states = (sale.payment.reload().state, sale.invoice.reload().state, sale.subscription.reload().status)
    paid = (PaymentState.SUCCEEDED, InvoiceState.PAID, SubscriptionStatus.ACTIVE)
    period = sale.subscription.reload().current_period_start
    billed = {item.period_start for item in sale.invoice.items.exclude(subscription_item=None)}
    return states == paid and wallet_balance(sale.organization) == 0 and billed == {period}


@pytest.mark.django_db
def test_ten_payments_take_as_many_statements_as_two() -> None:
    settle_expected([make_sale()])  # creates the shop's accounts
    counts = []
    for sales in ([make_sale() for _ in range(2)], [make_sale() for _ in range(10)]):
        with CaptureQueriesContext(connection) as statements:
            assert settle_expected(sales) == {sale.payment.pk for sale in sales}
        run_commit_triggers()
        assert all(is_paid(sale) for sale in sales)
        # The settings are read again every few seconds, and that may fall into either.
        counts.append(sum('FROM "core_setting"' not in query["sql"] for query in statements))

    assert counts[0] == counts[1]
    assert balance(AccountKind.REVENUE) == -balance(AccountKind.CLEARING) == 13 * 800
    assert set(Invoice.objects.values_list("sequence", flat=True)) == set(range(1, 14))


@pytest.mark.django_db
def test_several_payments_of_one_organization_in_two_currencies_are_settled_together() -> None:
    organization = make_organization()
    sales = [make_sale(organization=organization, currency=code) for code in ("USD", "EUR", "USD")]

    assert len(settle_expected(sales)) == 3

    run_commit_triggers()
    assert all(is_paid(sale) for sale in sales)
    assert (balance(AccountKind.REVENUE, "USD"), balance(AccountKind.REVENUE, "EUR")) == (1600, 800)


@pytest.mark.django_db
def test_each_subscription_begins_with_the_period_that_its_gateway_billed() -> None:
    sales = [make_sale(), make_sale()]
    starts = [NOON, NOON + timedelta(hours=3)]
    periods = [Period(start, start + timedelta(days=30)) for start in starts]
    arrived = {
        sale.payment.pk: sale.gateway_payment(period=period) for sale, period in zip(sales, periods, strict=True)
    }

    payments.settle_expected(arrived, at=NOON)

    assert [sale.subscription.reload().current_period_start for sale in sales] == starts
    assert all(is_paid(sale) for sale in sales)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [{"amount": Money(799, "USD")}, {"amount": Money(800, "EUR")}, {"is_live": True}, {"payment_id": None}],
)
def test_money_that_is_not_what_was_asked_for_is_left_out(change: dict[str, Any]) -> None:
    expected, other = make_sale(), make_sale()
    arrived = {expected.payment.pk: expected.gateway_payment(), other.payment.pk: other.gateway_payment(**change)}

    assert payments.settle_expected(arrived, at=NOON) == [expected.payment.pk]

    assert is_paid(expected)
    assert other.payment.reload().state == PaymentState.PENDING


@pytest.mark.django_db
def test_a_transaction_that_is_known_or_comes_twice_is_left_out() -> None:
    first, second, third = make_sale(), make_sale(), make_sale()
    first.settle(transaction_id="pi_1")

    assert settle_expected([second], transaction_id="pi_1") == set()
    assert len(settle_expected([second, third], transaction_id="pi_2")) == 1

    assert settle_expected([first]) == set()
    assert balance(AccountKind.REVENUE) == 1600


@pytest.mark.django_db
def test_where_one_cannot_be_paid_none_is_settled() -> None:
    sales = [make_sale(), make_sale()]

    def fail(**_: Any) -> None:
        raise ArithmeticError("a receiver failed")

    events.invoices_paid.connect(fail, weak=False, dispatch_uid="failing")
    try:
        with pytest.raises(ArithmeticError):
            settle_expected(sales)
    finally:
        events.invoices_paid.disconnect(dispatch_uid="failing")

    assert [sale.payment.reload().state for sale in sales] == [PaymentState.PENDING] * 2
    assert [sale.invoice.reload().state for sale in sales] == [InvoiceState.DRAFT] * 2
    assert balance(AccountKind.CLEARING) == 0


@pytest.fixture
def paid_sales(stripe_sandbox: Sandbox) -> list[Sale]:
    """Four orders whose webhooks wait for a worker."""
    sales = [make_sale(at=timezone.now()) for _ in range(4)]
    for sale in sales:
        assert stripe_sandbox.pay(sale.create_session()).is_accepted
    deliver_webhooks(stripe_sandbox)
    return sales


@pytest.mark.django_db(transaction=True)
def test_what_is_due_is_settled_in_one_transaction(paid_sales: list[Sale], monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    events.invoices_paid.connect(lambda invoice_ids, **_: sent.append(len(invoice_ids)), weak=False, dispatch_uid="n")
    try:
        run_due(timezone.now() + timedelta(seconds=1))
    finally:
        events.invoices_paid.disconnect(dispatch_uid="n")

    assert sent == [4]
    assert all(is_paid(sale) for sale in paid_sales)
    assert set(GatewayEvent.objects.values_list("state", flat=True)) == {WorkState.DONE}


@pytest.mark.django_db(transaction=True)
def test_the_sessions_of_what_is_due_are_read_at_once(paid_sales: list[Sale], monkeypatch: pytest.MonkeyPatch) -> None:
    read, all_are_read = StripeDriver.read_session, Barrier(len(paid_sales), timeout=10)

    def read_with_the_others(driver: StripeDriver, reference: str) -> CheckoutSession:
        all_are_read.wait()
        return read(driver, reference)

    monkeypatch.setattr(StripeDriver, "read_session", read_with_the_others)
    at = timezone.now() + timedelta(seconds=1)

    assert len(gateway_sync.settle_events(GatewayEvent.claim(limit=20, at=at), at=at)) == 4


@pytest.mark.django_db(transaction=True)
def test_an_event_reads_its_gateway_account_once(paid_sales: list[Sale]) -> None:
    event = GatewayEvent.objects.filter(type="checkout.session.completed").earliest("received_at")

    with CaptureQueriesContext(connection) as statements:
        gateway_sync.process_event(event, at=timezone.now())

    assert sum(map(is_paid, paid_sales)) == 1
    assert len([query for query in statements if 'FROM "billing_gatewayaccount"' in query["sql"]]) == 1


@pytest.mark.django_db(transaction=True)
def test_one_session_that_cannot_be_read_waits_and_the_other_payments_are_settled(
    paid_sales: list[Sale], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, unread = StripeDriver.read_session, paid_sales[1].payment.reload().session_id

    def read_others(driver: StripeDriver, reference: str) -> CheckoutSession:
        if reference == unread:
            raise outside.Unavailable("no answer")
        return read(driver, reference)

    monkeypatch.setattr(StripeDriver, "read_session", read_others)
    GatewayEvent.objects.exclude(type="checkout.session.completed").delete()
    run_due(timezone.now() + timedelta(seconds=1))

    assert [is_paid(sale) for sale in paid_sales] == [True, False, True, True]
    assert GatewayEvent.objects.filter(state=WorkState.QUEUED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_that_cannot_be_paid_is_under_review_and_the_others_are_paid(paid_sales: list[Sale]) -> None:
    broken = paid_sales[1].invoice.pk

    def fail(invoice_ids: Sequence[Any], **_: Any) -> None:
        if broken in invoice_ids:
            raise ArithmeticError("a receiver failed")

    events.invoices_paid.connect(fail, weak=False, dispatch_uid="failing")
    try:
        run_due(timezone.now() + timedelta(seconds=1))
    finally:
        events.invoices_paid.disconnect(dispatch_uid="failing")

    assert [is_paid(sale) for sale in paid_sales if sale.invoice.pk != broken] == [True] * 3
    assert paid_sales[1].payment.reload().state == PaymentState.UNDER_REVIEW
    assert set(GatewayEvent.objects.values_list("state", flat=True)) == {WorkState.DONE}
    assert balance(AccountKind.SUSPENSE) == 800


@pytest.mark.django_db(transaction=True)
def test_each_event_has_its_own_session_where_several_are_read_at_once(paid_sales: list[Sale]) -> None:
    stored = list(GatewayEvent.objects.filter(type="checkout.session.completed"))

    sessions = gateway_sync.read_sessions(stored)

    own = {event.pk: event.payload["data"]["object"]["id"] for event in stored}
    assert {event_id: session.reference for event_id, session in sessions.items()} == own
    assert {session.payment_id for session in sessions.values()} == {sale.payment.pk for sale in paid_sales}


@pytest.mark.django_db(transaction=True)
def test_an_event_that_was_tried_before_runs_by_itself(paid_sales: list[Sale]) -> None:
    at = timezone.now() + timedelta(seconds=1)
    tried = [item.pk for item in GatewayEvent.claim(limit=20, at=at)]
    sent: list[int] = []
    events.invoices_paid.connect(lambda invoice_ids, **_: sent.append(len(invoice_ids)), weak=False, dispatch_uid="n")
    try:
        work.run_due(at=at + GatewayEvent.LEASE)
    finally:
        events.invoices_paid.disconnect(dispatch_uid="n")

    assert GatewayEvent.objects.filter(pk__in=tried, state=WorkState.DONE, attempts=2).count() == len(tried)
    assert sent == [1, 1, 1, 1]
    assert all(is_paid(sale) for sale in paid_sales)


@pytest.mark.django_db
def test_the_second_payment_of_one_invoice_is_left_out() -> None:
    sale = make_sale()
    payments.mark_processing(payment_id=sale.payment.pk, at=NOON)
    payments.fail(payment_id=sale.payment.pk, reason="refused", at=NOON)
    again = sale.reopened(NOON)
    assert again.payment != sale.payment
    arrived = {
        sale.payment.pk: sale.gateway_payment(),
        again.payment.pk: replace(again.gateway_payment(), payment_id=again.payment.pk),
    }

    assert payments.settle_expected(arrived, at=NOON) == [again.payment.pk]


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_dies_after_the_transaction_leaves_events_that_settle_nothing_again(
    paid_sales: list[Sale],
) -> None:
    at = timezone.now() + timedelta(seconds=1)
    assert len(gateway_sync.settle_events(GatewayEvent.claim(limit=20, at=at), at=at)) == 4

    work.run_due(at=at + GatewayEvent.LEASE)

    assert set(GatewayEvent.objects.values_list("state", flat=True)) == {WorkState.DONE}
    assert all(is_paid(sale) for sale in paid_sales)
    assert balance(AccountKind.REVENUE) == -balance(AccountKind.CLEARING) == 3200
