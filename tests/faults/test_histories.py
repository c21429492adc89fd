"""Random histories of orders, payments, refunds, disputes, outages and jumps of the clock: the books always hold.

Hypothesis chooses the steps and shortens a history that fails. `HYPOTHESIS_STEPS` and `HYPOTHESIS_EXAMPLES` make a
longer search; the suite's own is the same on every run.
"""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from billing import payments, refunds
from billing.models import AccountKind, Invoice, InvoiceState, Payment, PaymentState, Subscription
from core import audit, site_settings
from core.money import Money
from core.outside import OutsideError
from core.outside.limits import reset_limits
from orders import cancellation, placement
from orders.models import Order
from sandbox.client import SandboxError
from servers.models import HoldKind, Server, ServerHold, ServerStatus
from tests import database_reset
from tests import shop as shops
from tests.faults.books import broken_rules
from tests.faults.conftest import BUILT
from tests.faults.purchase import balances, dead_work
from tests.shop import Clock, Shop, allow_unpaid_orders
from tests.stripe_dashboard import know_price, write

CARDS = (
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_refundFail",
    "pm_card_pendingRefund",
    "pm_usBankAccount_success",
    "pm_usBankAccount_insufficientFunds",
)
OUTAGES = (
    ("stripe", "GET /v1/*"),
    ("stripe", "POST /v1/refunds"),
    ("stripe", "POST /v1/checkout/sessions"),
    ("pterodactyl", "POST /api/application/servers*"),
)
WAITS = (timedelta(seconds=5), timedelta(minutes=5), timedelta(hours=1), timedelta(days=1), timedelta(days=32))
MOST_ORDERS = 3
anything = st.integers(min_value=0, max_value=5)


def chosen[Row](rows: Sequence[Row], index: int) -> Row:
    """One of the rows; hypothesis shortens the index towards the first."""
    return rows[index % len(rows)]


def received() -> list[Payment]:
    """The payments whose money arrived, oldest first."""
    return list(Payment.objects.filter(state__in=Payment.RECEIVED).order_by("created_at"))


class History(RuleBasedStateMachine):
    """One shop and one customer, and whatever may happen to their money."""

    shop: Shop

    @initialize(is_renewed=st.booleans())
    def begin(self, *, is_renewed: bool) -> None:
        """With renewals by Stripe, or with none."""
        database_reset.reset(to=BUILT)
        reset_limits()
        self.stripe = self.shop.sandbox
        self.stripe.reset()
        self.clock = Clock(self.stripe, datetime.now(tz=UTC).replace(microsecond=0))
        self.stripe.set_clock(self.clock.now.timestamp())
        self.pages: list[str] = []
        self.is_renewed = is_renewed
        site_settings.set_value("billing.gateway_renews", is_renewed)
        allow_unpaid_orders()
        if is_renewed:
            know_price(self.shop.price)

    # The customer

    @precondition(lambda self: Order.objects.count() < MOST_ORDERS)
    @rule()
    def order(self) -> None:
        shops.place_order(self.shop, at=self.clock.now, is_auto_renewed=self.is_renewed)

    @precondition(lambda self: Order.objects.count() < MOST_ORDERS)
    @rule(card=st.sampled_from(CARDS))
    def buy(self, card: str) -> None:
        """The usual way, so that most histories have something to refund."""
        self.order()
        self.open_payment_page(Order.objects.count() - 1)
        if self.pages:
            self.pay(len(self.pages) - 1, card)

    @precondition(lambda self: Order.objects.exists())
    @rule(index=anything)
    def open_payment_page(self, index: int) -> None:
        order = chosen(list(Order.objects.order_by("created_at")), index)
        try:
            placement.reopen_payment(order_id=order.pk, at=self.clock.now)
            self.pages.append(shops.create_session(order, at=self.clock.now))
        except (placement.OrderClosed, OutsideError, Payment.DoesNotExist):
            return  # the page says why; the customer may press again

    @precondition(lambda self: bool(self.pages))
    @rule(index=anything, card=st.sampled_from(CARDS))
    def pay(self, index: int, card: str) -> None:
        try:
            self.stripe.pay(chosen(self.pages, index), card)
        except SandboxError:
            return  # the page has expired

    @precondition(lambda self: Order.objects.exists())
    @rule(index=anything)
    def cancel_order(self, index: int) -> None:
        order = chosen(list(Order.objects.order_by("created_at")), index)
        cancellation.cancel_unpaid(
            order_id=order.pk, reason="by the customer", actor=self.shop.customer, at=self.clock.now
        )

    # Staff

    @precondition(lambda self: bool(received()))
    @rule(index=anything, part=st.sampled_from((1, 300, None)))
    def refund(self, index: int, part: int | None) -> None:
        payment = chosen(received(), index)
        amount = payment.refundable if part is None else Money(part, payment.refundable.currency)
        try:
            refunds.refund_payment(
                payment=payment, amount=amount, reason="asked", actor=self.shop.customer, at=self.clock.now
            )
        except refunds.NotRefundable:
            return  # the form says why

    @precondition(lambda self: Payment.objects.filter(state=PaymentState.UNDER_REVIEW).exists())
    @rule()
    def accept_payment(self) -> None:
        held = Payment.objects.filter(state=PaymentState.UNDER_REVIEW).order_by("created_at")[0]
        payments.accept_payment(payment_id=held.pk, actor=self.shop.customer, at=self.clock.now)

    # Stripe and the banks

    @rule(shuffle=st.sampled_from((list, reversed, lambda events: events * 2, lambda events: events[-1:])))
    def deliver_webhooks(self, shuffle: Callable[[list[Any]], Sequence[Any]]) -> None:
        client = Client()
        for delivery in shuffle(shops.signed_events(self.stripe)):
            client.post(shops.WEBHOOK, **delivery)

    @precondition(lambda self: bool(received()))
    @rule(index=anything, part=st.sampled_from((200, None)))
    def refund_at_stripe(self, index: int, part: int | None) -> None:
        params: Any = {"payment_intent": chosen(received(), index).transaction_id}
        try:
            write("by hand", lambda stripe: stripe.v1.refunds.create(params | ({"amount": part} if part else {})))
        except OutsideError:
            return  # refused, or an outage

    @precondition(lambda self: bool(self.objects("refund", "succeeded")))
    @rule(index=anything)
    def refund_fails_late(self, index: int) -> None:
        self.stripe.fail_refund(chosen(self.objects("refund", "succeeded"), index)["id"])

    @precondition(lambda self: bool(received()))
    @rule(index=anything, part=st.sampled_from((250, None)))
    def dispute(self, index: int, part: int | None) -> None:
        try:
            self.stripe.dispute(str(chosen(received(), index).transaction_id), amount=part)
        except SandboxError:
            return  # refunded or disputed already

    @precondition(lambda self: bool(self.objects("dispute", "needs_response")))
    @rule(index=anything, outcome=st.sampled_from(("won", "lost")))
    def dispute_ends(self, index: int, outcome: str) -> None:
        self.stripe.close_dispute(chosen(self.objects("dispute", "needs_response"), index)["id"], outcome)

    @precondition(lambda self: bool(self.objects("payment_intent", "processing")))
    @rule(outcome=st.sampled_from(("succeed", "fail")))
    def debit_ends(self, outcome: str) -> None:
        self.stripe.clear_debit(self.objects("payment_intent", "processing")[0]["id"], outcome)

    # Time, and machines that fail

    @rule(outage=st.sampled_from(OUTAGES), kind=st.sampled_from(("lose_answer", "status", "drop")))
    def outage(self, outage: tuple[str, str], kind: str) -> None:
        self.stripe.arm(*outage, kind, times=3, status=503)

    @rule(wait=st.sampled_from(WAITS))
    def time_passes(self, wait: timedelta) -> None:
        self.clock.pass_by(wait)
        shops.run_once(self.clock.now)

    @rule()
    def workers_finish(self) -> None:
        shops.run_until_idle(self.clock)

    # What must hold

    @invariant()
    def the_books_hold(self) -> None:
        assert broken_rules() == {}

    def teardown(self) -> None:
        """Everything works again, every event arrives, and the workers finish: what is owed and what runs agree."""
        if not hasattr(self, "pages"):
            return
        self.stripe.clear_faults()
        reset_limits()
        for _round in range(3):
            shops.deliver_webhooks(self.stripe)
            shops.run_until_idle(self.clock, step=timedelta(minutes=2))
        assert broken_rules() == {}
        assert audit.verify() == []
        assert dead_work() == {}
        self.assert_clearing_is_what_stripe_holds()
        self.assert_paid_servers_run()
        self.assert_nothing_is_charged_for_refunded_servers()

    def assert_clearing_is_what_stripe_holds(self) -> None:
        booked = sum(row["amount"] for row in self.stripe.stripe_state().get("balance_transaction", []))
        assert balances().get(AccountKind.CLEARING, 0) == -booked

    def assert_paid_servers_run(self) -> None:
        held = ServerHold.objects.filter(lifted_at=None, kind=HoldKind.BILLING).values("server_id")
        undisputed = Payment.objects.filter(state=PaymentState.SUCCEEDED).values("invoice_id")
        paid = Server.objects.filter(order_item__order__invoice__state=InvoiceState.PAID)
        assert not paid.filter(pk__in=held, order_item__order__invoice__in=undisputed).exists()
        external = [str(row["external_id"]) for row in shops.panel_servers(self.stripe)]
        assert len(external) == len(set(external))
        assert set(external) == {str(row.pk) for row in Server.objects.exclude(status=ServerStatus.DELETED)}

    def assert_nothing_is_charged_for_refunded_servers(self) -> None:
        charging = {
            row["id"]
            for row in self.stripe.stripe_state().get("subscription", [])
            if row["status"] in {"active", "past_due"} and not row["cancel_at_period_end"]
        }
        for ours in Subscription.objects.filter(gateway_subscriptions__reference__in=charging):
            latest = Invoice.objects.filter(items__subscription=ours, paid_at__isnull=False).order_by("-paid_at")[0]
            assert latest.state != InvoiceState.REFUNDED

    def objects(self, kind: str, status: str) -> list[dict[str, Any]]:
        """Stripe's objects of a kind in a status."""
        return [row for row in self.stripe.stripe_state().get(kind, []) if row["status"] == status]


@pytest.mark.timeout(900)  # a history takes seconds, and a busy machine several times that
def test_the_books_hold_through_any_history(shop: Shop) -> None:
    History.shop = shop
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "6")),
            stateful_step_count=int(os.environ.get("HYPOTHESIS_STEPS", "15")),
            derandomize="HYPOTHESIS_EXAMPLES" not in os.environ,
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
