"""Clearing is what the gateway holds for us, to the cent: fees, payouts and exchange are booked, each once."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing import refunds, unexplained
from billing.gateways.reconciling import BalanceTransaction
from billing.ledger_audit import broken_rules
from billing.models import (
    AccountKind,
    EntryKind,
    GatewayBalance,
    JournalEntry,
    Payment,
    PaymentState,
    UnexplainedItem,
)
from billing.reconciliation import balance as reconciliation
from billing.reconciliation import held as held_balances
from core.money import Money
from nodebyte import overview
from sandbox.client import Sandbox
from tests.billing.sales import Sale, balance, make_sale, run_due, transactions
from tests.shop import deliver_webhooks
from tests.stripe_dashboard import write
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)


def settled(sale: Sale, sandbox: Sandbox) -> Sale:
    """The sale after it was paid and its webhooks came."""
    sandbox.pay(sale.create_session())
    bring_news(sandbox)
    return sale.reloaded()


def bring_news(sandbox: Sandbox) -> None:
    """Webhooks and workers."""
    deliver_webhooks(sandbox)
    while run_due():
        pass


def book(hours: float = 2) -> int:
    """Book what there is, as if after so many hours; the number of entries."""
    return reconciliation.book_balance_transactions(gateway="stripe", at=timezone.now() + timedelta(hours=hours))


def held(sandbox: Sandbox, currency: str = "USD") -> int:
    """What the gateway holds for us."""
    found = sandbox.stripe_state().get("balance_transaction", [])
    return sum(each["net"] for each in found if each["currency"] == currency.lower())


def clearing(currency: str = "USD") -> int:
    """What our books say that the gateway holds for us."""
    return -balance(AccountKind.CLEARING, currency)


def test_the_fee_of_a_payment_is_booked_once(stripe_sandbox: Sandbox) -> None:
    sale = settled(make_sale(at=timezone.now()), stripe_sandbox)

    assert [book(), book()] == [1, 0]

    entry = JournalEntry.objects.get(kind=EntryKind.GATEWAY_FEE)
    assert (entry.payment, entry.organization) == (sale.payment, sale.organization)
    assert balance(AccountKind.GATEWAY_FEES) == -53
    assert clearing() == held(stripe_sandbox) == 747


def test_yen_that_were_paid_and_refunded_leave_only_their_fee(stripe_sandbox: Sandbox) -> None:
    sale = settled(make_sale(minor=1200, currency="JPY", at=timezone.now()), stripe_sandbox)
    book()
    fee = -balance(AccountKind.GATEWAY_FEES, "JPY")
    assert clearing("JPY") == held(stripe_sandbox, "JPY") == 1200 - fee

    refunds.refund_payment(
        payment=sale.payment, amount=sale.payment.refundable, reason="asked", actor=None, at=timezone.now()
    )
    bring_news(stripe_sandbox)
    book(hours=3)

    assert sale.payment.reload().state == PaymentState.REFUNDED
    assert clearing("JPY") == held(stripe_sandbox, "JPY") == -fee
    assert broken_rules() == {}


def test_two_runs_at_once_book_each_transaction_once(stripe_sandbox: Sandbox) -> None:
    for _ in range(3):
        settled(make_sale(at=timezone.now()), stripe_sandbox)
    stripe_sandbox.change_balance("topup", 5000)

    assert run_at_once(book, times=4) == []
    assert clearing() == held(stripe_sandbox)
    assert JournalEntry.objects.filter(reference__startswith="balance:").count() == 4


def test_a_dispute_costs_its_fee_and_a_payout_reaches_the_bank(stripe_sandbox: Sandbox) -> None:
    settled(make_sale(at=timezone.now()), stripe_sandbox)
    dispute = stripe_sandbox.dispute(transactions(stripe_sandbox)[0])["id"]
    bring_news(stripe_sandbox)
    stripe_sandbox.close_dispute(dispute, "won")
    bring_news(stripe_sandbox)
    stripe_sandbox.pay_out(300)
    stripe_sandbox.change_balance("stripe_fee", -25)

    book()

    assert balance(AccountKind.DISPUTE_FEES) == -1500
    assert balance(AccountKind.GATEWAY_FEES) == -53 - 25
    assert balance(AccountKind.BANK) == -300
    assert balance(AccountKind.DISPUTES) == 0
    assert clearing() == held(stripe_sandbox)
    assert not UnexplainedItem.objects.exists()


def test_money_settled_in_another_currency_is_held_in_that_currency(stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.stripe_settings(settlement={"eur": ["usd", 1.1]})
    sale = settled(make_sale(at=timezone.now(), currency="EUR"), stripe_sandbox)
    stripe_sandbox.stripe_settings(settlement={"eur": ["usd", 1.25]})
    params: Any = {"payment_intent": transactions(stripe_sandbox)[0], "amount": 200}
    write("by hand", lambda stripe: stripe.v1.refunds.create(params))
    bring_news(stripe_sandbox)
    assert sale.payment.reload().refunded_minor == 200

    book()

    assert clearing("EUR") == 0
    assert clearing("USD") == held(stripe_sandbox, "USD")
    assert (balance(AccountKind.FX, "EUR"), balance(AccountKind.FX, "USD")) == (-600, 880 - 250)


def test_money_of_an_unknown_source_is_unexplained(stripe_sandbox: Sandbox) -> None:
    settled(make_sale(at=timezone.now()), stripe_sandbox)
    stripe_sandbox.change_balance("topup", 5000)

    assert book(hours=0.5) == 1  # the fee alone: what is new may be explained by an event on its way
    assert book() == 1

    item = UnexplainedItem.objects.get()
    assert str(item.amount) == "$50.00"
    assert balance(AccountKind.UNEXPLAINED) == 5000
    assert clearing() == held(stripe_sandbox)
    assert book() == 0


def test_money_that_is_explained_later_leaves_the_unexplained_account(stripe_sandbox: Sandbox) -> None:
    make_sale(at=timezone.now()).create_session()
    sale = make_sale(at=timezone.now())
    stripe_sandbox.pay(sale.create_session())
    stripe_sandbox.arm("stripe", "GET /v1/payment_intents/*", "status", status=503, times=0)
    assert book() == 1
    assert balance(AccountKind.UNEXPLAINED) == 747
    stripe_sandbox.clear_faults()

    assert [book(), book()] == [1, 0]

    assert sale.payment.reload().state == PaymentState.SUCCEEDED  # it was settled on the way
    assert balance(AccountKind.UNEXPLAINED) == 0
    assert balance(AccountKind.GATEWAY_FEES) == -53
    assert clearing() == held(stripe_sandbox)
    assert UnexplainedItem.objects.get().resolution == unexplained.FOUND_LATER


def test_a_transaction_that_cannot_be_booked_stops_no_other_and_is_tried_again(
    stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        settled(make_sale(at=timezone.now()), stripe_sandbox)
    first = stripe_sandbox.stripe_state()["balance_transaction"][0]["id"]
    explain = reconciliation.explain

    def fail_first(gateway: str, transaction: BalanceTransaction, at: datetime) -> Any:
        if transaction.reference == first:
            raise RuntimeError("a fault of ours")
        return explain(gateway, transaction, at)

    monkeypatch.setattr(reconciliation, "explain", fail_first)
    assert book() == 1
    monkeypatch.undo()

    assert book(hours=8) == 1
    assert clearing() == held(stripe_sandbox)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_any_history_clearing_is_what_the_gateway_holds(stripe_sandbox: Sandbox, seed: int) -> None:
    chosen = random.Random(seed)

    def refund_at_gateway(intent: str) -> None:
        params: Any = {"payment_intent": intent, "amount": chosen.choice([100, 300])}
        write("by hand", lambda stripe: stripe.v1.refunds.create(params))

    def refund_by_us(intent: str) -> None:
        payment = Payment.objects.get(transaction_id=intent)
        refunds.refund_payment(
            payment=payment, amount=payment.refundable, reason="test", actor="test", at=timezone.now()
        )

    def refund_that_fails(intent: str) -> None:
        refund_at_gateway(intent)
        stripe_sandbox.fail_refund(stripe_sandbox.stripe_state()["refund"][-1]["id"])

    def lose(intent: str) -> None:
        stripe_sandbox.close_dispute(stripe_sandbox.dispute(intent)["id"], "lost")

    def win(intent: str) -> None:
        dispute = stripe_sandbox.dispute(intent)["id"]
        if chosen.random() < 0.5:
            bring_news(stripe_sandbox)
        stripe_sandbox.close_dispute(dispute, "won")

    def nothing(_intent: str) -> None:
        """The payment stays as it is."""

    acts = [refund_at_gateway, refund_by_us, refund_that_fails, lose, win, nothing]
    for act in chosen.sample(acts, len(acts)):
        settled(make_sale(at=timezone.now()), stripe_sandbox)
        act(transactions(stripe_sandbox)[-1])
        if chosen.random() < 0.5:
            bring_news(stripe_sandbox)
        if chosen.random() < 0.3:
            stripe_sandbox.pay_out(chosen.choice([50, 400]))
        if chosen.random() < 0.3:
            stripe_sandbox.change_balance(chosen.choice(["stripe_fee", "topup", "reserve_transaction"]), -70)
        if chosen.random() < 0.5:
            book()
    bring_news(stripe_sandbox)
    book()

    assert clearing() == held(stripe_sandbox)
    assert balance(AccountKind.UNEXPLAINED) == sum(
        item.amount_minor or 0 for item in UnexplainedItem.objects.filter(resolved_at=None)
    )


def test_what_the_gateway_holds_is_compared_with_clearing_and_a_difference_is_dated(stripe_sandbox: Sandbox) -> None:
    settled(make_sale(at=timezone.now()), stripe_sandbox)
    noon = timezone.now()
    assert held_balances.compare_balances(gateway="stripe", at=noon) == 1  # the fee is not booked yet
    book()
    hour = timedelta(hours=1)
    assert held_balances.compare_balances(gateway="stripe", at=noon + hour) == 0
    row = GatewayBalance.objects.get()
    assert (row.held, row.clearing, row.differs_since) == (row.clearing, Money(held(stripe_sandbox), "USD"), None)

    stripe_sandbox.pay_out(300, "usd")
    for hours in (2, 30):
        assert held_balances.compare_balances(gateway="stripe", at=noon + hours * hour) == 1

    row = GatewayBalance.objects.get()
    assert (row.clearing - row.held, row.differs_since) == (Money(300, "USD"), noon + 2 * hour)
    shown = overview.Overview(at=noon + 30 * hour, balances=[row])
    assert shown.needs_attention
    assert not overview.Overview(at=noon + 3 * hour, balances=[row]).needs_attention
