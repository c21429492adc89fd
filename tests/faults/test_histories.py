"""Random histories of orders, payments, refunds, disputes, outages and jumps of the clock: the books always hold.

Hypothesis chooses the steps and shortens a history that fails. docs/howto/histories.md says how to search longer; the
suite's own search is the same on every run. Histories that a short search may not find are written out.
"""

import os
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from billing import credit
from billing.ledger_audit import broken_rules
from billing.models import Invoice, InvoiceState, Payment, PaymentState, Refund, RefundState
from core.money import Money
from servers.models import HoldKind, ServerHold
from tests.faults.histories import CARDS, WAITS, History, received
from tests.faults.lives import CHARGED, Life
from tests.shop import Shop


def test_a_history_can_gain_credit_that_a_bill_and_an_order_use(shop: Shop) -> None:
    History.shop = shop
    history = History()
    history.begin(is_renewed=False, loses_webhooks=True, is_sold=False)

    history.gain_credit(price=0)

    assert credit.balance_of(shop.organization.pk, shop.price.currency) == shop.price.amount - Money(300, "USD")
    assert broken_rules() == {}

    history.buy(price=0, card=CARDS[0])
    assert Payment.objects.filter(state=PaymentState.PENDING, credit_minor=500).exists()
    history.workers_finish()
    assert received()[-1].credit_minor == 500
    assert credit.balance_of(shop.organization.pk, shop.price.currency) == Money(0, "USD")
    assert broken_rules() == {}


def renewals_without_webhooks(history: History) -> None:
    """Stripe charges two later periods, and no webhook says so."""
    history.begin(is_renewed=True, loses_webhooks=True, is_sold=True)
    for _ in range(2):
        history.time_passes(wait=WAITS[-1])
        history.reconcile()
        history.workers_finish()
    assert len(received()) == 3


def a_refund_that_fails_late(history: History) -> None:
    """The customer is refunded, and days later their bank sends the money back to us."""
    history.begin(is_renewed=False, loses_webhooks=False, is_sold=True)
    history.refund(index=0, part=300)
    history.workers_finish()
    history.deliver_webhooks(shuffle=list)
    history.workers_finish()
    assert Refund.objects.get().state == RefundState.SUCCEEDED
    history.refund_fails_late(index=0)


def events_twice(history: History) -> None:
    """Every event of a payment, a refund and a dispute comes twice."""
    history.begin(is_renewed=False, loses_webhooks=False, is_sold=True)
    history.refund(index=0, part=1)
    for _ in range(2):
        history.workers_finish()
        history.deliver_webhooks(shuffle=lambda events: events * 2)
    history.buy(price=0, card=CARDS[0])
    history.deliver_webhooks(shuffle=lambda events: events * 2)
    history.workers_finish()
    history.dispute(index=1, part=250)
    history.deliver_webhooks(shuffle=lambda events: events * 2)


def test_a_renewal_that_is_paid_late_suspends_until_then(shop: Shop) -> None:
    Life.shop = shop
    life = Life()
    life.begin(loses_webhooks=False, card="pm_card_declineLater", is_taxed=False)
    held = ServerHold.objects.filter(kind=HoldKind.BILLING, lifted_at=None)
    life.time_passes(days=32)
    life.time_passes(days=8)
    assert held.exists()

    life.pay_renewal(index=0, card=CARDS[0])
    life.workers_finish()

    assert not held.exists()
    life.no_time_is_paid_twice()
    life.nobody_is_suspended_while_paid()
    life.teardown()


def test_a_pause_is_neither_suspended_while_paid_nor_billed(shop: Shop) -> None:
    """A month that is paid, looked at every four days, and three weeks of pause after it."""
    Life.shop = shop
    life = Life()
    life.begin(loses_webhooks=False, card="pm_card_visa", is_taxed=False)
    life.change_renewal(index=0, wish="on")
    life.pause_or_resume(index=0, days=20)
    held = ServerHold.objects.filter(kind=HoldKind.BILLING, lifted_at=None)
    was_held = []
    for _ in range(8):
        life.time_passes(days=8)
        life.no_time_is_paid_twice()
        life.nobody_is_suspended_while_paid()
        assert broken_rules() == {}
        was_held.append(held.exists())

    assert was_held[0] is False
    assert True in was_held
    assert was_held[-1] is False  # its card paid the period after the pause
    life.teardown()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("happen", [renewals_without_webhooks, a_refund_that_fails_late, events_twice])
def test_the_books_hold_through_this_history(shop: Shop, happen: Callable[[History], None]) -> None:
    History.shop = shop
    history = History()

    happen(history)

    assert broken_rules() == {}
    history.teardown()


SOAK = int(os.environ.get("SOAK", "0"))  # how many histories and lives, by `make soak`
SOAK_SEED = int(os.environ.get("SEED", "1"))


@pytest.mark.timeout(0)  # a history takes seconds, and a busy machine several times that
def test_the_books_hold_through_any_history(shop: Shop) -> None:
    History.shop = shop
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=SOAK or 3,
            stateful_step_count=25 if SOAK else 12,
            derandomize=not SOAK,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(SOAK_SEED, SOAK_SEED + (SOAK or 2)))
def test_the_books_hold_through_any_life(shop: Shop, seed: int) -> None:
    """Hypothesis would choose few of the acts for each life, and end most before a month has passed."""
    Life.shop, random = shop, Random(seed)
    life = Life()
    life.begin(loses_webhooks=seed % 2 == 0, card=random.choice(CHARGED), is_taxed=seed % 3 == 0)
    life.live(random, months=4 if SOAK else 2)
    assert SOAK or Invoice.objects.filter(due_at__isnull=False, state=InvoiceState.PAID).exists(), "nothing was renewed"
    life.teardown()
