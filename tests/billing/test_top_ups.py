"""Money that customers pay into their wallet: credited once, whatever comes when, and each cent in the statement."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from accounts.models import Organization, User
from billing import disputes, invoicing, payments, refunds, statement, top_ups
from billing.gateways.base import DisputeStatus, GatewayDispute, GatewayPayment, GatewayRefund, RefundStatus
from billing.ledger_audit import broken_rules
from billing.models import AccountKind, Payment, PaymentState, UnexplainedItem
from core.ids import uuid7
from core.money import Money
from tests.billing.sales import NOON, balance, make_sale, run_commit_triggers, usd, wallet_balance
from tests.builders import make_organization, make_user
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return make_user()


@pytest.fixture
def organization(owner: User) -> Organization:
    return make_organization(owner)


def open_top_up(organization: Organization, amount: Money | None = None, token: UUID | None = None) -> Payment:
    return top_ups.open_top_up(
        organization=organization, amount=amount or usd(1000), form_token=token or uuid7(), at=NOON
    )


def arrive(payment: Payment, transaction: str = "pi_1", **changes: Any) -> Payment:
    """Let the money come."""
    arrived: dict[str, Any] = {
        "transaction_id": transaction,
        "amount": payment.amount,
        "is_live": False,
        "payment_id": payment.pk,
        "organization_id": payment.organization_id,
        "method_label": "Visa ending 4242",
    }
    return payments.settle(payment_id=payment.pk, gateway_payment=GatewayPayment(**(arrived | changes)), at=NOON)


def test_a_top_up_is_credited_once_however_often_it_is_reported(organization: Organization) -> None:
    payment = open_top_up(organization)
    for _ in range(2):
        assert arrive(payment).state == PaymentState.SUCCEEDED
    run_commit_triggers()

    assert wallet_balance(organization) == 1000
    assert balance(AccountKind.CLEARING) == -1000
    assert not UnexplainedItem.objects.exists()


def test_a_second_transaction_of_a_top_up_is_kept_under_review(organization: Organization) -> None:
    payment = open_top_up(organization)
    arrive(payment)
    assert arrive(payment, "pi_2").state == PaymentState.UNDER_REVIEW
    assert (wallet_balance(organization), balance(AccountKind.SUSPENSE)) == (1000, 1000)


def test_money_that_comes_after_the_top_up_was_over_is_credited(organization: Organization) -> None:
    payment = open_top_up(organization)
    payments.expire(payment_id=payment.pk, at=NOON + timedelta(hours=1))
    assert arrive(payment).state == PaymentState.SUCCEEDED
    assert wallet_balance(organization) == 1000


def test_another_amount_than_asked_for_is_kept_under_review(organization: Organization) -> None:
    assert arrive(open_top_up(organization), amount=usd(999)).state == PaymentState.UNDER_REVIEW
    assert wallet_balance(organization) == 0


def dispute(payment: Payment, status: DisputeStatus) -> None:
    """The bank takes the payment back, or has decided."""
    told = GatewayDispute("dp_1", str(payment.transaction_id), payment.amount, status, "fraudulent", NOON)
    disputes.record_dispute(payment_id=payment.pk, gateway_dispute=told, at=NOON)


@pytest.mark.parametrize(("decided", "left"), [(DisputeStatus.WON, 1000), (DisputeStatus.LOST, 0)])
def test_disputed_credit_is_spent_by_nobody_until_the_bank_has_decided(
    organization: Organization, decided: DisputeStatus, left: int
) -> None:
    payment = arrive(open_top_up(organization))
    for _twice in range(2):
        dispute(payment, DisputeStatus.OPEN)
    assert (wallet_balance(organization), balance(AccountKind.RESERVED_CREDIT)) == (0, 1000)
    assert broken_rules() == {}
    sale = make_sale(organization=organization, minor=1000)
    with pytest.raises(invoicing.InsufficientBalance):
        invoicing.pay_from_wallet(invoice=sale.invoice, at=NOON)

    dispute(payment, decided)
    run_commit_triggers()
    assert (wallet_balance(organization), balance(AccountKind.RESERVED_CREDIT)) == (left, 0)
    assert balance(AccountKind.RECEIVABLE) == 0
    assert broken_rules() == {}


def test_what_is_left_of_disputed_credit_is_set_aside_and_pays_what_was_owed_when_it_is_won(
    organization: Organization,
) -> None:
    payment, other = arrive(open_top_up(organization)), arrive(open_top_up(organization, usd(500)), "pi_2")
    invoicing.pay_from_wallet(invoice=make_sale(organization=organization, minor=800).invoice, at=NOON)
    dispute(payment, DisputeStatus.OPEN)
    assert (wallet_balance(organization), balance(AccountKind.RESERVED_CREDIT)) == (0, 700)
    refunds.record_refund(
        payment_id=other.pk, gateway_refund=GatewayRefund("re_1", "pi_2", usd(500), RefundStatus.SUCCEEDED), at=NOON
    )
    assert balance(AccountKind.RECEIVABLE) == -500

    dispute(payment, DisputeStatus.WON)
    assert (wallet_balance(organization), balance(AccountKind.RECEIVABLE)) == (200, 0)
    assert broken_rules() == {}


def test_a_top_up_first_pays_what_is_owed(organization: Organization) -> None:
    """The one before it was refunded at the gateway after it was spent."""
    first = arrive(open_top_up(organization))
    invoicing.pay_from_wallet(invoice=make_sale(organization=organization, minor=1000).invoice, at=NOON)
    refunds.record_refund(
        payment_id=first.pk, gateway_refund=GatewayRefund("re_1", "pi_1", usd(1000), RefundStatus.SUCCEEDED), at=NOON
    )
    arrive(open_top_up(organization, usd(2500)), "pi_2")
    assert wallet_balance(organization) == 1500


@pytest.mark.parametrize("amount", [usd(499), usd(100_001), Money(1000, "EUR"), usd(-1000), usd(0)])
def test_an_amount_out_of_bounds_opens_nothing(organization: Organization, amount: Money) -> None:
    with pytest.raises(top_ups.OutOfBounds):
        top_ups.open_top_up(organization=organization, amount=amount, form_token=uuid7(), at=NOON)
    assert not Payment.objects.exists()


def test_the_same_form_sent_twice_is_one_payment(organization: Organization) -> None:
    token = uuid7()
    assert open_top_up(organization, token=token) == open_top_up(organization, token=token)
    assert open_top_up(organization, usd(2500), token) != open_top_up(organization, token=token)
    for _ in range(top_ups.MAX_OPEN - 2):
        open_top_up(organization)
    with pytest.raises(top_ups.TooManyOpen):
        open_top_up(organization)


@pytest.mark.django_db(transaction=True)
def test_forms_sent_at_once_open_no_more_than_may_be_open(organization: Organization) -> None:
    errors = run_at_once(lambda: open_top_up(organization), times=top_ups.MAX_OPEN + 3)

    assert [type(error) for error in errors] == [top_ups.TooManyOpen] * 3
    assert Payment.objects.count() == top_ups.MAX_OPEN


def test_every_cent_of_the_statement_names_its_cause(
    organization: Organization, django_assert_num_queries: Any
) -> None:
    """Two top-ups, an invoice that they pay, and a refund of the second."""
    arrive(open_top_up(organization))
    second = arrive(open_top_up(organization, usd(2500)), "pi_2")
    sale = make_sale(organization=organization, minor=1200)
    invoicing.pay_from_wallet(invoice=sale.invoice, at=NOON)
    refunds.refund_payment(payment=second.reload(), amount=usd(500), reason="asked", actor=None, at=NOON)
    run_commit_triggers()
    (wallet,) = statement.accounts_of(organization)

    with django_assert_num_queries(1):
        rows = list(statement.csv_rows(wallet))

    number = sale.invoice.reload().number
    assert [(row[1], row[2], str(row[3]), str(row[4])) for row in rows] == [
        ("Payment received", "Top-up, Visa ending 4242", "10.00", "10.00"),
        ("Payment received", "Top-up, Visa ending 4242", "25.00", "35.00"),
        ("Invoice paid", number, "-12.00", "23.00"),
        ("Refund", "Visa ending 4242", "-5.00", "18.00"),
    ]
    assert wallet.reload().balance_minor == 1800
