"""From the webhook to the books: whatever order, number or moment events come in, one payment and one truth."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing import events, refunds, reviews
from billing.gateways.base import driver_of
from billing.models import (
    AccountKind,
    Dispute,
    EventResult,
    GatewayEvent,
    InvoiceState,
    Payment,
    PaymentState,
    Refund,
    RefundState,
    RefundTask,
)
from billing.refunds import NotRefundable
from core import work
from core.models import WorkState
from core.money import Money
from sandbox.client import Sandbox
from tests.billing.sales import MONEY, Sale, balance, make_sale, run_due, transactions
from tests.sandbox_fixtures import WEBHOOK_SECRET
from tests.shop import deliver_webhooks
from tests.stripe_dashboard import write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sale(stripe_sandbox: Sandbox) -> Sale:
    """An order placed now."""
    return make_sale(at=timezone.now())


@pytest.fixture
def paid(sale: Sale, stripe_sandbox: Sandbox) -> Sale:
    """An order that was paid and settled."""
    stripe_sandbox.pay(sale.create_session())
    deliver_and_work(stripe_sandbox)
    assert sale.payment.reload().state == PaymentState.SUCCEEDED
    return sale


def deliver_and_work(sandbox: Sandbox) -> None:
    """Deliver every event that Stripe has, and run the work that follows."""
    assert set(deliver_webhooks(sandbox)) <= {200}
    while run_due():
        pass


def outcomes() -> dict[str, str]:
    """How the latest event of each type ended."""
    return dict(GatewayEvent.objects.order_by("received_at").values_list("type", "result"))


def refund_of(sandbox: Sandbox) -> dict[str, Any]:
    """Stripe's only refund."""
    (found,) = sandbox.stripe_state()["refund"]
    return found


# -- payment -----------------------------------------------------------------------------------------------------------


def test_a_completed_session_pays_the_invoice(paid: Sale) -> None:
    assert paid.invoice.reload().state == InvoiceState.PAID
    assert outcomes()["checkout.session.completed"] == EventResult.PROCESSED
    assert outcomes()["payment_intent.succeeded"] == EventResult.PROCESSED
    assert outcomes()["payment_intent.created"] == EventResult.IGNORED


@pytest.mark.parametrize(
    "misbehave",
    [
        lambda sandbox: sandbox.duplicate_webhooks(4),
        lambda sandbox: sandbox.concurrent_webhooks(4),
        lambda sandbox: sandbox.reorder_webhooks(),
        lambda sandbox: sandbox.twin_webhooks(),
        lambda sandbox: sandbox.webhooks_before_answer(),
        lambda sandbox: sandbox.webhook_switch("bad_signature", tries=2),
        lambda sandbox: sandbox.webhook_switch("old_timestamp", tries=1),
    ],
    ids=["duplicated", "concurrent", "reordered", "twins", "before the answer", "forged first", "old first"],
)
def test_however_webhooks_are_delivered_there_is_one_payment(
    sale: Sale, stripe_sandbox: Sandbox, live_server: Any, misbehave: Callable[[Sandbox], None]
) -> None:
    stripe_sandbox.stripe_endpoint(f"{live_server.url}/webhooks/stripe/", WEBHOOK_SECRET)
    misbehave(stripe_sandbox)
    stripe_sandbox.pay(sale.create_session())
    stripe_sandbox.settle_webhooks(30)

    while run_due():
        pass

    assert GatewayEvent.objects.filter(type="checkout.session.completed").exists()
    assert Payment.objects.get().state == PaymentState.SUCCEEDED
    assert balance(AccountKind.REVENUE) == 800
    assert not GatewayEvent.objects.exclude(state=WorkState.DONE).exists()


def test_a_session_of_another_shop_in_the_same_account_is_unrelated(sale: Sale, stripe_sandbox: Sandbox) -> None:
    url = sale.create_session()
    stripe_sandbox.pay(url)
    Payment.objects.all().delete()
    deliver_and_work(stripe_sandbox)
    assert outcomes()["checkout.session.completed"] == EventResult.UNRELATED


def test_while_stripe_does_not_answer_the_event_waits(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session())
    stripe_sandbox.arm("stripe", "GET /v1/*", "status", status=500, times=0)
    deliver_webhooks(stripe_sandbox)
    run_due()
    stripe_sandbox.clear_faults()
    waiting = GatewayEvent.objects.get(type="checkout.session.completed")
    assert (waiting.state, waiting.attempts) == (WorkState.QUEUED, 1)

    run_due(timezone.now() + timedelta(minutes=1))

    assert sale.payment.reload().state == PaymentState.SUCCEEDED


def test_an_expired_session_expires_its_payment(sale: Sale, stripe_sandbox: Sandbox) -> None:
    sale.create_session()
    stripe_sandbox.advance(46 * 60)
    stripe_sandbox.requests()  # time passes with the next request
    driver_of("stripe").read_session(str(sale.payment.reload().session_id))
    deliver_and_work(stripe_sandbox)
    assert sale.payment.reload().state == PaymentState.EXPIRED


# -- refunds -----------------------------------------------------------------------------------------------------------


def make_refund(sale: Sale, minor: int = 800) -> Refund:
    """Refund a part, and run the work that follows at that moment: what waits to be retried goes on waiting."""
    at = timezone.now()
    made = refunds.refund_payment(payment=sale.payment, amount=Money(minor, "USD"), reason="asked", actor=None, at=at)
    while run_due(at):
        pass
    return made.reload()


def test_a_full_refund_sends_the_money_back_once(paid: Sale, stripe_sandbox: Sandbox) -> None:
    refund = make_refund(paid)
    deliver_and_work(stripe_sandbox)

    assert refund.state == RefundState.SUCCEEDED
    assert refund_of(stripe_sandbox)["metadata"] == {"refund": str(refund.pk)}
    assert paid.payment.reload().state == PaymentState.REFUNDED
    assert paid.invoice.reload().state == InvoiceState.REFUNDED
    assert balance(AccountKind.CLEARING) == 0
    assert balance(AccountKind.REFUNDS) == -800
    assert Refund.objects.count() == 1


def test_partial_refunds_end_at_what_arrived(paid: Sale, stripe_sandbox: Sandbox) -> None:
    make_refund(paid, 300)
    make_refund(paid, 300)
    assert paid.payment.reload().state == PaymentState.SUCCEEDED
    for too_much in (201, 0, -1):
        with pytest.raises(NotRefundable):
            make_refund(paid, too_much)
    make_refund(paid, 200)

    assert paid.payment.reload().state == PaymentState.REFUNDED
    assert [refund["amount"] for refund in stripe_sandbox.stripe_state()["refund"]] == [300, 300, 200]


def test_a_refund_whose_answer_is_lost_is_made_once(paid: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", "POST /v1/refunds", "lose_answer", times=3)
    refund = make_refund(paid)
    assert refund.state == RefundState.PENDING
    assert RefundTask.objects.get().state == WorkState.QUEUED

    run_due(timezone.now() + timedelta(minutes=1))

    assert refund.reload().state == RefundState.SUCCEEDED
    assert refund_of(stripe_sandbox)["amount"] == 800
    assert balance(AccountKind.REFUNDS) == -800


def test_a_refund_whose_answer_was_lost_is_found_even_when_its_key_is_forgotten(
    paid: Sale, stripe_sandbox: Sandbox
) -> None:
    stripe_sandbox.arm("stripe", "POST /v1/refunds", "lose_answer", times=3)
    refund = make_refund(paid, 300)
    stripe_sandbox.advance(25 * 3600)

    run_due(timezone.now() + timedelta(hours=25))

    assert refund.reload().state == RefundState.SUCCEEDED
    assert refund_of(stripe_sandbox)["amount"] == 300


def test_a_refund_that_was_made_and_not_recorded_is_made_once_when_staff_retry_it_days_later(
    paid: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise ArithmeticError("a fault of ours")

    with monkeypatch.context() as broken:
        broken.setattr(refunds, "record_refund", fail)
        refund, hours = make_refund(paid, 300), 0
        while RefundTask.objects.get().state != WorkState.DEAD:
            hours += 2
            work.run_due(at=timezone.now() + timedelta(hours=hours), models=(RefundTask,))
    stripe_sandbox.advance(72 * 3600)

    later = timezone.now() + timedelta(hours=72)
    work.retry([RefundTask.objects.get()], at=later)
    run_due(later)

    assert refund.reload().state == RefundState.SUCCEEDED
    assert refund_of(stripe_sandbox)["amount"] == 300


def test_a_failure_that_stripe_replays_is_repeated_under_a_new_key(paid: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.arm("stripe", "POST /v1/refunds", "status", status=500, times=1)
    refund = make_refund(paid)
    assert refund.state == RefundState.PENDING

    run_due(timezone.now() + timedelta(minutes=1))

    assert refund.reload().state == RefundState.SUCCEEDED
    assert refund_of(stripe_sandbox)["amount"] == 800


def test_a_refund_that_stripe_refuses_leaves_the_money_here(paid: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.dispute(transactions(stripe_sandbox)[0])  # and we do not know of it yet
    refund = make_refund(paid)
    assert (refund.state, "charge_disputed" in refund.failure) == (RefundState.FAILED, True)
    assert paid.payment.reload().refunded_minor == 0
    assert balance(AccountKind.REFUNDS) == 0
    assert balance(AccountKind.CLEARING) == -800


def test_a_refund_that_fails_days_later_brings_the_money_back(paid: Sale, stripe_sandbox: Sandbox) -> None:
    make_refund(paid)
    stripe_sandbox.fail_refund(refund_of(stripe_sandbox)["id"])
    deliver_and_work(stripe_sandbox)

    assert Refund.objects.get().state == RefundState.FAILED
    assert paid.payment.reload().state == PaymentState.SUCCEEDED
    assert paid.invoice.reload().state == InvoiceState.PAID
    assert balance(AccountKind.CLEARING) == -800
    assert balance(AccountKind.REFUNDS) == 0


def test_a_pending_refund_is_polled(stripe_sandbox: Sandbox, sale: Sale) -> None:
    stripe_sandbox.pay(sale.create_session(), card="pm_card_pendingRefund")
    deliver_and_work(stripe_sandbox)
    refund = make_refund(sale)
    assert (refund.state, bool(refund.transaction_id)) == (RefundState.PENDING, True)
    stripe_sandbox.advance(8 * 86_400)

    run_due(timezone.now() + timedelta(hours=7))

    assert refund.reload().state == RefundState.SUCCEEDED
    assert len(stripe_sandbox.requests("stripe", "POST /v1/refunds")) == 1


def test_a_refund_made_in_stripes_dashboard_is_recorded_once(paid: Sale, stripe_sandbox: Sandbox) -> None:
    refund_in_dashboard(stripe_sandbox, 300)
    deliver_and_work(stripe_sandbox)
    deliver_and_work(stripe_sandbox)

    refund = Refund.objects.get()
    assert (refund.amount, refund.state, refund.reason) == (
        Money(300, "USD"),
        RefundState.SUCCEEDED,
        "made at the gateway",
    )
    assert paid.payment.reload().refundable == Money(500, "USD")
    assert balance(AccountKind.REFUNDS) == -300


def refund_in_dashboard(sandbox: Sandbox, minor: int) -> None:
    """Refund as in Stripe's dashboard: without our metadata."""
    params: Any = {"payment_intent": transactions(sandbox)[0], "amount": minor}
    write("by hand", lambda stripe: stripe.v1.refunds.create(params))


def test_the_event_of_a_refund_before_that_of_the_payment_settles_the_payment_first(
    sale: Sale, stripe_sandbox: Sandbox
) -> None:
    stripe_sandbox.pay(sale.create_session())
    refund_in_dashboard(stripe_sandbox, 800)
    stored = stripe_sandbox.stripe_state()["event"]
    only = [event for event in stored if event["type"] == "refund.created"]
    for event in only:
        GatewayEvent.objects.create(
            gateway="stripe",
            event_id=event["id"],
            type=event["type"],
            payload=event,
            received_at=timezone.now(),
            run_at=timezone.now(),
        )
    while run_due():
        pass
    assert sale.payment.reload().state == PaymentState.REFUNDED
    assert balance(AccountKind.CLEARING) == 0


def test_money_under_review_is_refunded_from_suspense(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session())
    Payment.objects.update(amount_minor=801)
    deliver_and_work(stripe_sandbox)

    make_refund(sale)

    assert sale.payment.reload().state == PaymentState.REFUNDED
    assert sale.invoice.reload().state == InvoiceState.DRAFT
    assert balance(AccountKind.SUSPENSE) == 0
    assert balance(AccountKind.REFUNDS) == 0


def test_credit_that_was_accepted_is_refunded_from_the_wallet(sale: Sale, stripe_sandbox: Sandbox) -> None:
    stripe_sandbox.pay(sale.create_session())
    Payment.objects.update(amount_minor=801)
    sale.invoice.items.update(unit_minor=801, amount_minor=801)
    type(sale.invoice).objects.update(net_minor=801, total_minor=801)
    deliver_and_work(stripe_sandbox)
    reviews.accept_payment(payment_id=sale.payment.pk, reason="keep", actor=None, at=timezone.now())
    assert balance(AccountKind.WALLET) == 800

    make_refund(sale)

    assert balance(AccountKind.WALLET) == 0
    assert balance(AccountKind.CLEARING) == 0


# -- disputes ----------------------------------------------------------------------------------------------------------


def test_a_dispute_takes_the_money_and_a_won_one_brings_it_back(paid: Sale, stripe_sandbox: Sandbox) -> None:
    dispute = stripe_sandbox.dispute(transactions(stripe_sandbox)[0])
    deliver_and_work(stripe_sandbox)
    assert paid.payment.reload().state == PaymentState.DISPUTED
    assert balance(AccountKind.DISPUTES) == -800
    with pytest.raises(NotRefundable):
        make_refund(paid)

    stripe_sandbox.close_dispute(dispute["id"], "won")
    deliver_and_work(stripe_sandbox)

    assert paid.payment.reload().state == PaymentState.SUCCEEDED
    assert Dispute.objects.get().is_won
    assert balance(AccountKind.DISPUTES) == 0
    assert balance(AccountKind.CLEARING) == -800


def test_a_lost_dispute_stays_a_loss(paid: Sale, stripe_sandbox: Sandbox) -> None:
    dispute = stripe_sandbox.dispute(transactions(stripe_sandbox)[0])
    stripe_sandbox.close_dispute(dispute["id"], "lost")
    deliver_and_work(stripe_sandbox)
    assert paid.payment.reload().state == PaymentState.DISPUTED
    assert Dispute.objects.get().is_won is False
    assert balance(AccountKind.DISPUTES) == -800


def test_the_signals_of_a_dispute_are_sent_once(paid: Sale, stripe_sandbox: Sandbox) -> None:
    sent: list[str] = []
    events.funds_withdrawn.connect(lambda reason, **_: sent.append(reason), weak=False, dispatch_uid="sent")
    events.funds_reinstated.connect(lambda **_: sent.append("reinstated"), weak=False, dispatch_uid="sent")
    try:
        dispute = stripe_sandbox.dispute(transactions(stripe_sandbox)[0])
        deliver_and_work(stripe_sandbox)
        stripe_sandbox.close_dispute(dispute["id"], "won")
        deliver_and_work(stripe_sandbox)
    finally:
        events.funds_withdrawn.disconnect(dispatch_uid="sent")
        events.funds_reinstated.disconnect(dispatch_uid="sent")
    assert sent == ["payment disputed", "reinstated"]


def test_every_cent_is_explained_after_all_of_it(paid: Sale, stripe_sandbox: Sandbox) -> None:
    make_refund(paid, 300)
    stripe_sandbox.dispute(transactions(stripe_sandbox)[0], amount=500)
    deliver_and_work(stripe_sandbox)
    assert sum(balance(kind) for kind in AccountKind) == 0
    assert balance(AccountKind.CLEARING) == 0
    assert balance(AccountKind.REVENUE) == MONEY.minor
