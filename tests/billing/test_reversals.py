"""Money that goes back by a refund or a dispute: only what the allocations say is lost, and it can come back."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from billing import disputes, events, invoicing, refunds, subscriptions
from billing.gateways.base import DisputeStatus, GatewayDispute, GatewayRefund, RefundStatus
from billing.gateways.stripe import StripeDriver
from billing.ledger_audit import broken_rules
from billing.models import (
    AccountKind,
    InvoiceState,
    Payment,
    PaymentState,
    RefundState,
    UnexplainedItem,
)
from core.money import Money
from tests.billing.sales import (
    MONEY,
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

pytestmark = pytest.mark.django_db


@pytest.fixture
def moved() -> Iterator[list[tuple[str, UUID]]]:
    """Each signal that an invoice lost its money or has it again."""
    sent: list[tuple[str, UUID]] = []
    events.funds_withdrawn.connect(
        lambda invoice_ids, reason, **_: sent.extend((reason, pk) for pk in invoice_ids),
        weak=False,
        dispatch_uid="moved",
    )
    events.funds_reinstated.connect(
        lambda invoice_ids, **_: sent.extend(("reinstated", pk) for pk in invoice_ids), weak=False, dispatch_uid="moved"
    )
    yield sent
    events.funds_withdrawn.disconnect(dispatch_uid="moved")
    events.funds_reinstated.disconnect(dispatch_uid="moved")


def dispute(payment: Payment, status: DisputeStatus, minor: int = 800) -> None:
    """What the gateway says of a dispute over the payment."""
    gateway_dispute = GatewayDispute(
        f"dp_{payment.pk}", str(payment.transaction_id), usd(minor), status, "fraudulent", NOON
    )
    disputes.record_dispute(payment_id=payment.pk, gateway_dispute=gateway_dispute, at=NOON)


# -- refunds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_accepted", [False, True])
def test_a_refunded_duplicate_leaves_the_paid_invoice_alone(
    is_accepted: bool,
    moved: list[tuple[str, UUID]],
) -> None:
    sale = make_sale()
    sale.settle()
    duplicate = sale.settle(transaction_id="pi_twice")
    if is_accepted:
        duplicate = accept(duplicate)

    refund(duplicate, 800)

    assert duplicate.reload().state == PaymentState.REFUNDED
    assert (sale.invoice.reload().state, sale.payment.reload().state) == (InvoiceState.PAID, PaymentState.SUCCEEDED)
    assert moved == []
    assert balance(AccountKind.CLEARING) == -800
    assert balance(AccountKind.REVENUE) == 800
    assert wallet_balance(sale.organization) == balance(AccountKind.SUSPENSE) == balance(AccountKind.REFUNDS) == 0


def test_a_refund_takes_credit_first_and_then_what_was_paid(moved: list[tuple[str, UUID]]) -> None:
    sale = make_sale()
    payment = accept(sale.settle(amount=usd(900)))

    refund(payment, 300)
    assert (wallet_balance(sale.organization), balance(AccountKind.REFUNDS), moved) == (0, -200, [])
    refund(payment, 600)

    assert payment.reload().state == PaymentState.REFUNDED
    assert moved == [("payment refunded", sale.invoice.pk)]
    assert (balance(AccountKind.REFUNDS), balance(AccountKind.CLEARING)) == (-800, 0)


def test_a_refund_that_fails_late_gives_the_invoice_its_money_again(moved: list[tuple[str, UUID]]) -> None:
    sale = make_sale()
    made = refund(sale.settle(), 800)
    assert sale.invoice.reload().state == InvoiceState.REFUNDED

    report_refund(made, RefundStatus.FAILED)

    assert made.reload().state == RefundState.FAILED
    assert (sale.invoice.reload().state, sale.payment.reload().state) == (InvoiceState.PAID, PaymentState.SUCCEEDED)
    assert moved == [("payment refunded", sale.invoice.pk), ("reinstated", sale.invoice.pk)]
    refund(sale.payment.reload(), 800)
    assert sale.invoice.reload().state == InvoiceState.REFUNDED


def test_a_refunded_invoice_gives_back_the_payment_and_the_credit_that_paid_it(
    moved: list[tuple[str, UUID]],
) -> None:
    earlier = make_sale(minor=500)
    accept(earlier.settle(amount=usd(800)))
    sale = make_sale(minor=900, organization=earlier.organization)
    payment = accept(sale.settle(amount=usd(700)))
    assert wallet_balance(sale.organization) == 100

    refunds.refund_invoice(invoice=sale.invoice, reason="no server", actor=None, at=NOON)
    made = payment.refunds.get()
    report_refund(made, RefundStatus.SUCCEEDED)

    assert (made.amount, wallet_balance(sale.organization)) == (usd(700), 300)
    assert (sale.invoice.reload().state, earlier.invoice.reload().state) == (InvoiceState.REFUNDED, InvoiceState.PAID)
    assert moved == [("payment refunded", sale.invoice.pk)]
    assert balance(AccountKind.REFUNDS) == -900


def test_a_refunded_invoice_leaves_the_credit_of_its_payment() -> None:
    sale = make_sale()
    payment = accept(sale.settle(amount=usd(900)))
    refunds.refund_invoice(invoice=sale.invoice, reason="no server", actor=None, at=NOON)
    assert payment.refunds.get().amount == MONEY
    assert wallet_balance(sale.organization) == 100


# -- money under review ------------------------------------------------------------------------------------------------


def test_a_refund_that_fails_after_the_rest_was_accepted_becomes_credit() -> None:
    sale = make_sale()
    reviewed = sale.settle(amount=usd(1000))
    made = refund(reviewed, 200)

    payment = accept(reviewed)
    report_refund(made, RefundStatus.FAILED)

    assert allocated(sale.invoice) == [(payment, 800)]
    assert balance(AccountKind.SUSPENSE) == 0
    assert wallet_balance(sale.organization) == 200
    assert payment.reload().refundable == usd(1000)


def test_what_a_lost_dispute_leaves_under_review_can_be_accepted() -> None:
    sale = make_sale()
    reviewed = sale.settle(amount=usd(1000))
    dispute(reviewed, DisputeStatus.OPEN, 200)
    dispute(reviewed, DisputeStatus.LOST, 200)
    assert reviewed.reload().state == PaymentState.UNDER_REVIEW
    assert balance(AccountKind.SUSPENSE) == 800

    payment = accept(reviewed)

    assert allocated(sale.invoice) == [(payment, 800)]
    assert balance(AccountKind.SUSPENSE) == balance(AccountKind.DISPUTES) == 0
    assert balance(AccountKind.CLEARING) == -800


def test_money_under_review_that_a_dispute_took_wholly_waits_for_nobody() -> None:
    reviewed = make_sale().settle(amount=usd(700))
    dispute(reviewed, DisputeStatus.LOST, 700)
    assert (reviewed.reload().state, reviewed.reload().refundable) == (PaymentState.DISPUTED, usd(0))
    assert balance(AccountKind.SUSPENSE) == balance(AccountKind.CLEARING) == 0


def test_nothing_under_review_is_accepted_and_pays_nothing() -> None:
    sale = make_sale()
    reviewed = sale.settle(amount=usd(0))
    assert reviewed.state == PaymentState.UNDER_REVIEW
    assert accept(reviewed).state == PaymentState.SUCCEEDED
    assert sale.invoice.reload().state == InvoiceState.DRAFT


# -- disputes ----------------------------------------------------------------------------------------------------------


def test_a_dispute_lost_and_won_on_appeal_is_booked_and_lifts_what_it_suspended(
    moved: list[tuple[str, UUID]],
) -> None:
    sale = make_sale()
    payment = sale.settle()
    for status in (DisputeStatus.LOST, DisputeStatus.OPEN, DisputeStatus.WON, DisputeStatus.WON):
        dispute(payment, status)

    assert payment.reload().state == PaymentState.SUCCEEDED
    assert payment.refundable == MONEY
    assert moved[-1] == ("reinstated", sale.invoice.pk)
    assert (balance(AccountKind.DISPUTES), balance(AccountKind.CLEARING)) == (0, -800)
    dispute(payment, DisputeStatus.LOST)
    assert (payment.reload().state, payment.reload().refundable) == (PaymentState.DISPUTED, usd(0))
    assert (balance(AccountKind.DISPUTES), balance(AccountKind.CLEARING)) == (-800, 0)


def test_a_lost_dispute_refunds_its_invoice_until_it_is_won_on_appeal() -> None:
    sale = make_sale()
    payment = sale.settle()
    dispute(payment, DisputeStatus.OPEN)
    assert sale.invoice.reload().state == InvoiceState.PAID

    dispute(payment, DisputeStatus.LOST)
    note = sale.invoice.credit_notes.get()
    assert (sale.invoice.reload().state, note.total_minor, note.voided_at) == (InvoiceState.REFUNDED, 800, None)
    assert broken_rules() == {}

    dispute(payment, DisputeStatus.WON)
    assert (sale.invoice.reload().state, note.reload().voided_at) == (InvoiceState.PAID, NOON)
    assert broken_rules() == {}


def test_an_invoice_of_which_a_lost_dispute_left_a_part_is_paid() -> None:
    sale = make_sale()
    dispute(sale.settle(), DisputeStatus.LOST, 300)
    assert sale.invoice.reload().state == InvoiceState.PAID
    assert sale.invoice.credit_notes.get().total_minor == 300


def test_credit_lost_to_a_dispute_comes_back_on_appeal() -> None:
    sale = make_sale()
    payment = accept(sale.settle(amount=usd(900)))
    dispute(payment, DisputeStatus.LOST, 900)
    assert (wallet_balance(sale.organization), balance(AccountKind.DISPUTES)) == (0, -800)

    dispute(payment, DisputeStatus.WON, 900)

    assert (wallet_balance(sale.organization), balance(AccountKind.DISPUTES)) == (100, 0)
    assert balance(AccountKind.CLEARING) == -900


def test_what_an_appeal_brings_back_after_the_rest_was_accepted_becomes_credit() -> None:
    sale = make_sale()
    payment = sale.settle(amount=usd(900))
    dispute(payment, DisputeStatus.LOST, 300)
    accept(payment)
    assert (wallet_balance(sale.organization), balance(AccountKind.SUSPENSE)) == (600, 0)

    dispute(payment, DisputeStatus.WON, 300)

    assert (wallet_balance(sale.organization), balance(AccountKind.SUSPENSE)) == (900, 0)
    assert broken_rules() == {}


def test_a_second_appeal_gives_back_what_the_second_loss_took() -> None:
    sale = make_sale(minor=900)
    payment = accept(sale.settle(amount=usd(600)))
    invoicing.pay_from_wallet(invoice=draft(sale, 600), at=NOON)
    dispute(payment, DisputeStatus.LOST, 600)
    assert (wallet_balance(sale.organization), balance(AccountKind.RECEIVABLE)) == (0, -600)
    dispute(payment, DisputeStatus.WON, 600)
    assert (wallet_balance(sale.organization), balance(AccountKind.RECEIVABLE)) == (0, 0)

    accept(make_sale(minor=9900, organization=sale.organization).settle(amount=usd(700)))
    dispute(payment, DisputeStatus.LOST, 600)
    assert (wallet_balance(sale.organization), balance(AccountKind.RECEIVABLE)) == (100, 0)
    dispute(payment, DisputeStatus.WON, 600)

    assert (wallet_balance(sale.organization), balance(AccountKind.RECEIVABLE)) == (700, 0)
    assert balance(AccountKind.DISPUTES) == 0
    assert broken_rules() == {}


def test_what_a_partial_dispute_leaves_can_be_refunded_where_the_gateway_does_so(
    moved: list[tuple[str, UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sale = make_sale()
    payment = sale.settle()
    dispute(payment, DisputeStatus.OPEN, 300)
    with pytest.raises(refunds.NotRefundable):
        refund(payment, 500)
    dispute(payment, DisputeStatus.LOST, 300)
    assert payment.reload().refundable == usd(500)
    with pytest.raises(refunds.NotRefundable, match="does not send this money back"):
        refund(payment, 500)

    monkeypatch.setattr(StripeDriver, "REFUNDS_DISPUTED", True)
    refund(payment, 500)

    assert balance(AccountKind.CLEARING) == 0
    assert (balance(AccountKind.REFUNDS), balance(AccountKind.DISPUTES)) == (-500, -300)
    assert sale.invoice.reload().state == InvoiceState.REFUNDED


@pytest.mark.parametrize("is_over", [False, True])
def test_what_a_lost_dispute_took_is_not_given_again_when_the_refund_of_the_same_money_fails(is_over: bool) -> None:
    sale = make_sale()
    payment = sale.settle()
    if is_over:
        subscriptions.end_subscription(subscription=sale.subscription, reason="order canceled", at=NOON)
    made = refund(payment, 800)
    dispute(payment, DisputeStatus.LOST)
    assert payment.reload().lost_minor == 0  # the refund had taken it

    report_refund(made, RefundStatus.FAILED)

    payment = payment.reload()
    assert (payment.lost_minor, payment.refundable, payment.state) == (800, usd(0), PaymentState.DISPUTED)
    assert wallet_balance(sale.organization) == 0
    assert broken_rules() == {}
    dispute(payment, DisputeStatus.WON)
    assert (payment.reload().refundable, broken_rules()) == (usd(800), {})


def test_what_a_lost_dispute_leaves_of_a_failed_refund_for_an_ended_subscription_is_credited() -> None:
    sale = make_sale()
    payment = sale.settle()
    subscriptions.end_subscription(subscription=sale.subscription, reason="order canceled", at=NOON)
    made = refund(payment, 800)
    dispute(payment, DisputeStatus.LOST, 300)

    report_refund(made, RefundStatus.FAILED)

    assert (payment.reload().lost_minor, wallet_balance(sale.organization)) == (300, 500)
    assert sale.invoice.reload().state == InvoiceState.REFUNDED
    notes = sale.invoice.credit_notes.order_by("total_minor")
    assert [(note.total_minor, note.voided_at) for note in notes] == [(300, None), (500, None), (800, NOON)]
    assert "What a dispute left of its money" in UnexplainedItem.objects.get().note
    assert broken_rules() == {}


def test_an_invoice_that_a_dispute_takes_wholly_once_a_pending_refund_fails_is_refunded() -> None:
    sale = make_sale()
    payment = sale.settle()
    made = refunds.refund_payment(payment=payment, amount=usd(300), reason="asked", actor=None, at=NOON)
    dispute(payment, DisputeStatus.LOST)
    assert sale.invoice.reload().state == InvoiceState.PAID

    report_refund(made, RefundStatus.FAILED)

    assert (payment.reload().lost_minor, sale.invoice.reload().state) == (800, InvoiceState.REFUNDED)
    assert broken_rules() == {}


def test_a_lost_dispute_in_another_currency_takes_all_that_is_left() -> None:
    sale = make_sale()
    payment = sale.settle()
    lost = GatewayDispute(
        "dp_eur", str(payment.transaction_id), Money(700, "EUR"), DisputeStatus.LOST, "fraudulent", NOON
    )
    disputes.record_dispute(payment_id=payment.pk, gateway_dispute=lost, at=NOON)

    run_commit_triggers()
    assert (payment.reload().refundable, sale.invoice.reload().state) == (usd(0), InvoiceState.REFUNDED)


# -- what an organization owes -----------------------------------------------------------------------------------------


def make_debt() -> Sale:
    """A sale whose organization owes 600: a refund at the gateway took credit that was spent."""
    sale = make_sale(minor=900)
    payment = accept(sale.settle(amount=usd(600)))
    invoicing.pay_from_wallet(invoice=draft(sale, 600), at=NOON)
    gone = GatewayRefund("re_gone", str(payment.transaction_id), usd(600), RefundStatus.SUCCEEDED)
    refunds.record_refund(payment_id=payment.pk, gateway_refund=gone, at=NOON)
    assert (balance(AccountKind.WALLET), balance(AccountKind.RECEIVABLE)) == (0, -600)
    return sale


def test_credit_pays_first_what_the_organization_owes() -> None:
    debtor = make_debt()
    payment = make_sale(minor=5000, organization=debtor.organization).settle(amount=usd(1000))
    accept(payment)
    assert (balance(AccountKind.WALLET), balance(AccountKind.RECEIVABLE)) == (400, 0)


def test_money_for_an_invoice_pays_that_invoice_and_only_its_rest_what_is_owed() -> None:
    debtor = make_debt()
    sale = make_sale(organization=debtor.organization)
    accept(sale.settle(amount=usd(1000)))
    assert sale.invoice.reload().state == InvoiceState.PAID
    assert (balance(AccountKind.WALLET), balance(AccountKind.RECEIVABLE)) == (0, -400)


def test_a_failed_refund_returns_to_the_wallet_what_is_owed_no_longer() -> None:
    debtor = make_debt()
    accept(make_sale(minor=5000, organization=debtor.organization).settle(amount=usd(600)))
    failed = GatewayRefund("re_gone", str(debtor.payment.reload().transaction_id), usd(600), RefundStatus.FAILED)

    refunds.record_refund(payment_id=debtor.payment.pk, gateway_refund=failed, at=NOON)

    assert (balance(AccountKind.WALLET), balance(AccountKind.RECEIVABLE)) == (600, 0)
