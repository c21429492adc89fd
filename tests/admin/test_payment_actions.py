"""What staff do with payments: each action once over HTTP, with its audit entry."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing import disputes, invoicing, pausing
from billing.gateways.base import DisputeStatus, GatewayDispute
from billing.models import InvoiceState, JournalEntry, PaymentState, Refund, RefundTask, RunKind, SubscriptionStatus
from billing.runs import runner
from core import site_settings
from core.models import WorkState
from tests.admin.action_pages import is_audited, page_of, payment_under_review, run, submit, undisputed_rows
from tests.admin.rows import Rows
from tests.billing.sales import NOON, Sale, accept, make_sale, usd, wallet_balance

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(db: None) -> Rows:
    return undisputed_rows(1)


def test_a_payment_is_refunded_in_part(rows: Rows, superadmin: Client) -> None:
    payment = payment_under_review(rows)

    run(superadmin, payment, "refund", amount="3.00", reason="half a month", seen=0)

    refund = Refund.objects.get(payment=payment)
    assert (refund.amount_minor, refund.reason) == (300, "half a month")
    assert RefundTask.objects.filter(refund=refund, state=WorkState.QUEUED).exists()
    assert JournalEntry.objects.filter(reference=f"refund:{refund.pk}").exists()


def test_a_refund_submitted_twice_is_made_once(rows: Rows, superadmin: Client) -> None:
    payment, data = payment_under_review(rows), {"amount": "3.00", "reason": "x", "seen": 0}

    run(superadmin, payment, "refund", **data)
    messages = run(superadmin, payment, "refund", **data)

    assert Refund.objects.filter(payment=payment).count() == 1
    assert "Another refund" in messages[-1]


def test_a_refund_locks_the_invoice_before_the_payment(rows: Rows, superadmin: Client) -> None:
    """As a webhook does: in the other order each could hold what the other waits for."""
    payment = payment_under_review(rows, invoice=rows.invoices[0])

    with CaptureQueriesContext(connection) as queries:
        run(superadmin, payment, "refund", amount="3.00", reason="half a month", seen=0)

    locks = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
    assert 'FROM "billing_invoice"' in locks[0]
    assert Refund.objects.filter(payment=payment).exists()


@pytest.mark.parametrize("amount", ["8.01", "0", "-1", "1e3", "NaN", "3.001", "１"])
def test_a_refund_of_an_odd_amount_is_refused(rows: Rows, superadmin: Client, amount: str) -> None:
    payment = payment_under_review(rows)

    answer = submit(superadmin, payment, "refund", amount=amount, reason="x", seen=0)

    assert answer.status_code == 422
    if amount in {"8.01", "0"}:
        assert answer.context["form"].errors["amount"] == ["More than zero, and at most $8.00."]
        assert "More than zero, and at most $8.00." in answer.content.decode()
    assert not Refund.objects.filter(payment=payment).exists()


@pytest.mark.parametrize(
    ("currency", "typed", "step"),
    [("USD", "1.255", "$0.01"), ("JPY", "10.5", "¥1"), ("KWD", "1.255", "0.010")],
)
def test_a_refund_finer_than_the_gateway_can_carry_is_refused_beside_the_field(
    rows: Rows, superadmin: Client, currency: str, typed: str, step: str
) -> None:
    payment = payment_under_review(rows, minor=80_000, currency=currency)

    answer = submit(superadmin, payment, "refund", amount=typed, reason="x", seen=0)

    assert answer.status_code == 422
    (error,) = answer.context["form"].errors["amount"]
    assert "Too many decimals" in error
    assert step in error
    assert list(answer.context["form"].errors) == ["amount"]
    assert not Refund.objects.filter(payment=payment).exists()


def test_a_payment_under_review_is_accepted(rows: Rows, superadmin: Client) -> None:
    payment = payment_under_review(rows)

    _text, sent = dialog(superadmin, payment, "accept")
    run(superadmin, payment, "accept", reason="the customer wrote", **sent)

    assert payment.reload().state == PaymentState.SUCCEEDED
    assert is_audited(superadmin, "payment.accept_payment", payment)


def dialog(client: Client, row: Any, action: str) -> tuple[str, dict[str, Any]]:
    """The text of an action's dialog, and what its form sends unchanged."""
    answer = client.get(page_of(row, action))
    form = answer.context["form"]
    sent = {name: field.initial for name, field in form.fields.items() if field.initial is not None}
    return " ".join(answer.content.decode().split()), sent


@pytest.fixture
def underpaid() -> Sale:
    """$5.00 of $8.00 arrived, and the customer has $3.00 of other credit."""
    sale = make_sale()
    accept(make_sale(minor=9900, organization=sale.organization).settle(amount=usd(300)))
    sale.settle(amount=usd(500))
    return sale


def test_accepting_an_underpaid_payment_says_that_other_credit_pays_the_rest(
    underpaid: Sale, superadmin: Client
) -> None:
    text, sent = dialog(superadmin, underpaid.payment, "accept")
    assert "$5.00 goes to the customer&#x27;s wallet." in text
    assert "The wallet then pays its invoice of $8.00, $3.00 of it with other credit." in text
    assert "To send the money back to the customer instead, use “Refund”." in text

    run(superadmin, underpaid.payment, "accept", reason="agreed", **sent)

    assert underpaid.invoice.reload().state == InvoiceState.PAID
    assert wallet_balance(underpaid.organization) == 0


def test_accepting_says_where_the_invoice_stays_unpaid(superadmin: Client) -> None:
    sale = make_sale()
    sale.settle(amount=usd(500))
    text, sent = dialog(superadmin, sale.payment, "accept")
    assert "Its invoice of $8.00 stays unpaid, because the wallet does not cover it." in text

    run(superadmin, sale.payment, "accept", reason="agreed", **sent)

    assert sale.invoice.reload().state == InvoiceState.DRAFT
    assert wallet_balance(sale.organization) == 500


def test_what_accepting_would_do_otherwise_than_the_form_said_is_not_done(underpaid: Sale, superadmin: Client) -> None:
    _text, sent = dialog(superadmin, underpaid.payment, "accept")
    invoicing.pay_from_wallet(invoice=make_sale(minor=300, organization=underpaid.organization).invoice, at=NOON)

    messages = run(superadmin, underpaid.payment, "accept", reason="agreed", **sent)

    assert "has changed" in messages[-1]
    assert underpaid.payment.reload().state == PaymentState.UNDER_REVIEW


def test_a_refund_of_a_payment_that_was_disputed_is_credit_and_the_form_says_so(superadmin: Client) -> None:
    sale = make_sale()
    payment = sale.settle()
    won = GatewayDispute("dp_1", str(payment.transaction_id), usd(800), DisputeStatus.OPEN, "fraudulent", NOON)
    for status in (DisputeStatus.OPEN, DisputeStatus.WON):
        disputes.record_dispute(payment_id=payment.pk, gateway_dispute=replace(won, status=status), at=NOON)
    text, sent = dialog(superadmin, payment, "refund")
    assert "its gateway refunds no payment that was ever disputed" in text

    messages = run(superadmin, payment, "refund", reason="asked", **sent)

    assert "$8.00 is credit in the customer's wallet now." in messages
    assert wallet_balance(sale.organization) == 800
    assert not Refund.objects.exists()


def test_a_pause_is_ended(superadmin: Client) -> None:
    site_settings.set_value("billing.max_pause_days", 30)
    sale = make_sale()
    sale.settle()
    row = sale.subscription.reload()
    over = row.current_period_end or NOON
    pausing.pause(subscription=row, until=over + timedelta(days=9), actor=None, at=NOON)
    runner.execute(RunKind.RENEW, at=over)
    assert row.reload().status == SubscriptionStatus.PAUSED

    assert run(superadmin, row, "end-pause", reason="by telephone") == ["It goes on."]

    assert row.reload().status == SubscriptionStatus.SUSPENDED
    assert is_audited(superadmin, "subscription.end_pause", row)
