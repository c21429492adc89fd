"""What staff do with payments: each action once over HTTP, with its audit entry."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.models import JournalEntry, PaymentState, Refund, RefundTask
from core.models import WorkState
from tests.admin.action_pages import is_audited, payment_under_review, run, submit, undisputed_rows
from tests.admin.rows import Rows

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

    run(superadmin, payment, "accept", reason="the customer wrote")

    assert payment.reload().state == PaymentState.SUCCEEDED
    assert is_audited(superadmin, "payment.accept_payment", payment)
