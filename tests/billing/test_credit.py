"""Credit of the wallet beside a card: it pays what it can of an order, and the payment page asks for the rest."""

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import credit, invoicing, payment_sync, payments, refunds
from billing.gateways.base import GatewayRefund, RefundStatus
from billing.ledger_audit import broken_rules
from billing.models import AccountKind, BillingMode, InvoiceState, Payment, PaymentState
from core import tenancy
from core.money import Money
from sandbox.client import Sandbox
from tests.billing.sales import (
    NOON,
    Sale,
    accept,
    allocated,
    balance,
    draft,
    make_sale,
    refund,
    report_refund,
    run_commit_triggers,
    usd,
    wallet_balance,
)
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db


def make_sale_with_credit(credit_minor: int, minor: int = 800, **fields: object) -> Sale:
    """An unpaid sale of an organization with credit in its wallet."""
    currency = fields.setdefault("currency", "USD")
    earlier = make_sale(minor=100 * minor, currency=str(currency))
    accept(earlier.settle(amount=Money(credit_minor, str(currency))))
    sold = {"is_auto_renewed": False} | fields
    return make_sale(minor=minor, organization=earlier.organization, **sold)  # type: ignore[arg-type]


def use_credit(sale: Sale) -> bool:
    return credit.use_credit(payment=sale.payment, at_most=sale.invoice.total, at=NOON)


def test_credit_and_a_card_pay_an_invoice_together() -> None:
    sale = make_sale_with_credit(300)

    assert not use_credit(sale)
    assert not use_credit(sale)

    sale = sale.reloaded()
    assert (sale.payment.amount, sale.payment.credit) == (usd(500), usd(300))
    assert (wallet_balance(sale.organization), balance(AccountKind.RESERVED_CREDIT)) == (0, 300)
    payment = sale.settle()
    run_commit_triggers()
    assert sale.invoice.reload().state == InvoiceState.PAID
    assert allocated(sale.invoice) == [(payment, 500), (None, 300)]
    assert (wallet_balance(sale.organization), balance(AccountKind.RESERVED_CREDIT)) == (0, 0)


def test_credit_that_suffices_pays_at_once_and_nothing_is_asked_for() -> None:
    sale = make_sale_with_credit(1000)

    assert use_credit(sale)

    assert allocated(sale.invoice) == [(None, 800)]
    assert wallet_balance(sale.organization) == 200
    payment = sale.payment.reload()
    assert not payment.is_open(NOON)
    assert use_credit(sale)


@pytest.mark.django_db(transaction=True)
def test_the_page_asks_for_the_rest(stripe_sandbox: Sandbox) -> None:
    now = timezone.now()
    sale = make_sale_with_credit(300, at=now)
    use_credit(sale)
    page = sale.reloaded().create_session(now)

    stripe_sandbox.pay(page)
    payment_sync.sync_payment(payment_id=sale.payment.pk, at=now)

    session = stripe_sandbox.stripe_state()["checkout.session"][0]
    assert session["amount_total"] == 500
    assert allocated(sale.invoice) == [(sale.payment, 500), (None, 300)]


@pytest.mark.django_db(transaction=True)
def test_credit_that_comes_after_the_page_was_opened_is_left_alone(stripe_sandbox: Sandbox) -> None:
    sale = make_sale(at=timezone.now())
    sale.create_session()
    accept(make_sale(minor=9900, organization=sale.organization).settle(amount=usd(300)))

    use_credit(sale)

    assert (sale.payment.reload().amount, wallet_balance(sale.organization)) == (usd(800), 300)


def test_credit_that_comes_after_some_was_reserved_is_left_alone() -> None:
    sale = make_sale_with_credit(300)
    use_credit(sale)
    accept(make_sale(minor=9900, organization=sale.organization).settle(amount=usd(200)))

    assert not use_credit(sale)

    payment = sale.payment.reload()
    assert (payment.amount, payment.credit, wallet_balance(sale.organization)) == (usd(500), usd(300), 200)


@pytest.mark.parametrize("credit_minor", [300, 1000])
def test_a_payment_whose_time_is_over_uses_no_credit(credit_minor: int) -> None:
    sale = make_sale_with_credit(credit_minor)

    assert not credit.use_credit(payment=sale.payment, at_most=usd(800), at=sale.expires_at)
    payments.expire(payment_id=sale.payment.pk, at=NOON)
    assert not use_credit(sale)

    assert (sale.payment.reload().credit, wallet_balance(sale.organization)) == (usd(0), credit_minor)


def test_so_little_is_not_left_to_pay_that_the_gateway_refuses_it() -> None:
    sale = make_sale_with_credit(790)
    use_credit(sale)
    assert sale.reloaded().payment.amount == usd(50)
    assert wallet_balance(sale.organization) == 40


def test_what_is_left_to_pay_is_an_amount_that_can_be_paid() -> None:
    sale = make_sale_with_credit(30_050, minor=5_000_000, currency="IDR")
    use_credit(sale)
    assert sale.reloaded().payment.amount == Money(4_970_000, "IDR")


def test_what_renews_automatically_leaves_the_least_to_a_card_that_is_saved() -> None:
    sale = make_sale_with_credit(1000, is_auto_renewed=True)

    assert not use_credit(sale)

    assert (sale.reloaded().payment.amount, sale.reloaded().payment.credit) == (usd(50), usd(750))
    assert wallet_balance(sale.organization) == 250


def test_no_account_is_read_and_no_key_decrypted_while_rows_are_locked() -> None:
    sale = make_sale_with_credit(300)

    with CaptureQueriesContext(connection) as captured:
        use_credit(sale)

    statements = [query["sql"] for query in captured]
    first_lock = next(number for number, sql in enumerate(statements) if "FOR NO KEY UPDATE" in sql)
    assert [sql for sql in statements[first_lock:] if "billing_gatewayaccount" in sql] == []


def test_what_the_gateway_renews_is_paid_by_card_alone() -> None:
    sale = make_sale_with_credit(300, billing_mode=BillingMode.GATEWAY)
    use_credit(sale)
    assert sale.reloaded().payment.credit_minor == 0


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_payment_that_is_over_gives_its_credit_back(is_refused: bool) -> None:
    sale = make_sale_with_credit(300)
    use_credit(sale)

    if is_refused:
        payments.fail(payment_id=sale.payment.pk, reason="refused", at=NOON)
    else:
        payments.expire(payment_id=sale.payment.pk, at=NOON)
    run_commit_triggers()

    assert (wallet_balance(sale.organization), balance(AccountKind.RESERVED_CREDIT)) == (300, 0)
    late = sale.reloaded().settle()  # the bank took the money after all
    assert allocated(sale.invoice) == [(late, 500), (None, 300)]


def test_late_money_whose_credit_was_spent_meanwhile_is_credit() -> None:
    sale = make_sale_with_credit(300)
    use_credit(sale)
    payments.fail(payment_id=sale.payment.pk, reason="refused", at=NOON)
    assert use_credit(make_sale(minor=300, organization=sale.organization, is_auto_renewed=False))

    late = sale.reloaded().settle()

    assert late.state == PaymentState.SUCCEEDED
    assert sale.invoice.reload().state == InvoiceState.DRAFT
    assert wallet_balance(sale.organization) == 500


def take_back(payment: Payment) -> None:
    """All of the payment goes back at the gateway, whatever became of it here."""
    gone = GatewayRefund(f"re_{payment.pk}", str(payment.transaction_id), payment.received, RefundStatus.SUCCEEDED)
    refunds.record_refund(payment_id=payment.pk, gateway_refund=gone, at=NOON)


def test_credit_that_is_reserved_no_longer_pays_first_what_is_owed() -> None:
    sale = make_sale_with_credit(300)
    use_credit(sale)
    take_back(Payment.objects.get(organization=sale.organization, received_minor=300))
    assert (wallet_balance(sale.organization), balance(AccountKind.RECEIVABLE)) == (0, -300)

    payments.expire(payment_id=sale.payment.pk, at=NOON)

    assert (wallet_balance(sale.organization), balance(AccountKind.RECEIVABLE)) == (0, 0)


def test_late_money_pays_what_is_owed_again_after_its_credit_did() -> None:
    sale = make_sale_with_credit(300)
    use_credit(sale)
    take_back(Payment.objects.get(organization=sale.organization, received_minor=300))
    payments.expire(payment_id=sale.payment.pk, at=NOON)
    spent = accept(make_sale(minor=9900, organization=sale.organization).settle(amount=usd(200)))
    invoicing.pay_from_wallet(invoice=draft(sale, 200), at=NOON)
    take_back(spent)

    late = sale.reloaded().settle()

    assert late.state == PaymentState.SUCCEEDED
    assert (wallet_balance(sale.organization), balance(AccountKind.RECEIVABLE)) == (300, 0)


def test_late_money_pays_with_the_credit_that_the_next_payment_had_reserved() -> None:
    sale = make_sale_with_credit(300)
    use_credit(sale)
    payments.fail(payment_id=sale.payment.pk, reason="the bank refused", at=NOON)
    second = sale.reopened(NOON)
    use_credit(second)

    late = sale.reloaded().settle()
    assert (sale.invoice.reload().state, wallet_balance(sale.organization)) == (InvoiceState.DRAFT, 500)
    payments.expire(payment_id=second.payment.pk, at=NOON)

    assert sale.invoice.reload().state == InvoiceState.PAID
    assert allocated(sale.invoice) == [(late, 500), (None, 300)]
    assert (wallet_balance(sale.organization), balance(AccountKind.RESERVED_CREDIT)) == (0, 0)


def test_no_more_credit_is_used_than_the_customer_was_told() -> None:
    sale = make_sale_with_credit(1000)

    assert not credit.use_credit(payment=sale.payment, at_most=usd(300), at=NOON)

    assert (sale.reloaded().payment.amount, wallet_balance(sale.organization)) == (usd(500), 700)


def test_money_under_review_holds_no_credit_and_pays_together_with_it_once_accepted() -> None:
    sale = make_sale_with_credit(300)
    use_credit(sale)
    payment = sale.reloaded().settle(amount=usd(501))
    run_commit_triggers()
    assert (payment.state, wallet_balance(sale.organization)) == (PaymentState.UNDER_REVIEW, 300)

    accept(payment)

    assert allocated(sale.invoice) == [(payment, 501), (None, 299)]
    assert wallet_balance(sale.organization) == 1


def test_a_refund_gives_back_to_the_card_what_the_card_paid() -> None:
    sale = make_sale_with_credit(300)
    use_credit(sale)
    payment = sale.reloaded().settle()
    assert payment.refundable == usd(500)
    refund(payment, 500)
    assert payment.reload().state == PaymentState.REFUNDED
    assert wallet_balance(sale.organization) == 0


def test_when_the_cards_part_of_a_refund_fails_late_all_of_it_is_credit_and_nothing_is_paid_again() -> None:
    sale = make_sale_with_credit(300)
    use_credit(sale)
    sale = sale.reloaded()
    payment = sale.settle()
    refunds.refund_invoice(invoice=sale.invoice, reason="asked", actor=None, at=NOON)
    made = payment.refunds.get()
    report_refund(made, RefundStatus.SUCCEEDED)
    assert (sale.invoice.reload().state, wallet_balance(sale.organization)) == (InvoiceState.REFUNDED, 300)

    report_refund(made, RefundStatus.FAILED)

    run_commit_triggers()
    assert (sale.invoice.reload().state, wallet_balance(sale.organization)) == (InvoiceState.REFUNDED, 800)
    assert broken_rules() == {}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_payment SET credit_minor = credit_minor + 1 WHERE id = %s",
        "UPDATE billing_payment SET state = 'expired' WHERE id = %s",
        "UPDATE billing_payment SET credit_minor = -1 WHERE id = %s",
    ],
)
def test_the_database_refuses_credit_that_is_not_reserved_or_not_released(statement: str) -> None:
    sale = make_sale_with_credit(300)
    use_credit(sale)
    refused = "has reserved 300 and counts on|credit_not_negative"
    with pytest.raises(IntegrityError, match=refused), tenancy.as_role(role=tenancy.WORKER):
        execute_and_check(statement, sale)


def execute_and_check(statement: str, sale: Sale) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [sale.payment.pk])
    run_commit_triggers()


@pytest.mark.django_db(transaction=True)
def test_the_same_credit_is_not_reserved_twice_by_payments_begun_at_once() -> None:
    first = make_sale_with_credit(300)
    sales = [first, *(make_sale(organization=first.organization) for _ in range(3))]
    begun = iter(sales)

    assert run_at_once(lambda: use_credit(next(begun)), times=4) == []

    assert sorted(sale.payment.reload().credit_minor for sale in sales) == [0, 0, 0, 300]
    assert (wallet_balance(first.organization), balance(AccountKind.RESERVED_CREDIT)) == (0, 300)
