"""What may happen to one shop and one customer's money: each act is a rule, and what must hold after it is checked."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from billing import credit, events, invoicing, payments, refunds, reviews
from billing.ledger_audit import broken_rules
from billing.models import Invoice, InvoiceState, ItemKind, Payment, PaymentState
from billing.reconciliation import balance, catch_up, sweep
from catalog import services as catalog
from catalog.models import PlanPrice, Term
from core import audit, site_settings
from core.money import Money
from core.outside import OutsideError
from core.outside.limits import reset_limits
from orders import cancellation, paying, queries
from orders.models import Order, OrderStatus
from sandbox.client import SandboxError
from tests import database_reset
from tests import shop as shops
from tests.faults import ends
from tests.faults.conftest import BUILT
from tests.faults.purchase import dead_work
from tests.shop import Clock, Shop, allow_unpaid_orders
from tests.stripe_dashboard import know_price, make_stripe_price, write

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


class Nothing(Exception):
    """There is no such row yet."""


def chosen[Row](rows: Sequence[Row], index: int) -> Row:
    """One of the rows; hypothesis shortens the index towards the first. Raises Nothing."""
    if not rows:
        raise Nothing
    return rows[index % len(rows)]


def received() -> list[Payment]:
    """The payments whose money arrived, oldest first."""
    return list(Payment.objects.filter(state__in=Payment.RECEIVED).order_by("created_at"))


def bills() -> list[Invoice]:
    """The invoices that are issued and not paid, oldest first."""
    return list(Invoice.objects.filter(state=InvoiceState.OPEN).order_by("created_at"))


class BrokenReceiver(Exception):
    """A fault of ours where invoices are paid."""


def offer_yen(price: PlanPrice) -> PlanPrice:
    """The plan's price in another currency, one without minor units."""
    yen = Money(900, "JPY")
    catalog.offer_price(item=price.plan, term=Term(price.term), amount=yen, actor="test", at=timezone.now())
    return PlanPrice.objects.select_related("plan__product").get(plan=price.plan, currency="JPY")


class History(RuleBasedStateMachine):
    """One shop and a customer for each of two currencies, and whatever may happen to their money."""

    shop: Shop

    @initialize(is_renewed=st.booleans(), loses_webhooks=st.booleans(), is_sold=st.booleans())
    def begin(self, *, is_renewed: bool, loses_webhooks: bool, is_sold: bool) -> None:
        """Stripe renews or not, all webhooks are lost or none, and a server is sold already or not."""
        database_reset.reset(to=BUILT)
        reset_limits()
        self.stripe = self.shop.sandbox
        self.stripe.reset()
        self.clock = Clock(self.stripe, datetime.now(tz=UTC).replace(microsecond=0))
        self.stripe.set_clock(self.clock.now.timestamp())
        self.pages: list[str] = []
        self.is_renewed, self.loses_webhooks = is_renewed, loses_webhooks
        site_settings.set_value("billing.gateway_renews", is_renewed)
        allow_unpaid_orders()
        self.prices = [self.shop.price, offer_yen(self.shop.price)]
        payer = shops.make_customer("yen@example.test")
        yen = replace(self.shop, customer=payer, organization=payer.owned_organizations.get())
        self.customers = [self.shop, yen]
        if is_renewed:
            for price in self.prices:
                know_price(price, make_stripe_price(price.amount_minor, currency=price.currency.lower()))
        self.is_paying_broken = False
        events.invoices_paid.connect(self.receive_invoices_paid, dispatch_uid="history")
        if is_sold:
            self.buy(0, CARDS[0])
            self.workers_finish()

    # The customer

    @precondition(lambda self: Order.objects.count() < MOST_ORDERS)
    @rule(price=st.integers(min_value=0, max_value=1))
    def order(self, price: int) -> None:
        shops.place_order(
            self.customers[price],
            at=self.clock.now,
            plan_price=self.prices[price],
            is_auto_renewed=self.is_renewed,
        )

    @precondition(lambda self: Order.objects.count() < MOST_ORDERS)
    @rule(price=st.integers(min_value=0, max_value=1), card=st.sampled_from(CARDS))
    def buy(self, price: int, card: str) -> None:
        """The usual way, so that most histories have something to refund."""
        self.order(price)
        self.open_payment_page(Order.objects.count() - 1)
        if self.pages:
            self.pay(len(self.pages) - 1, card)

    @precondition(lambda self: Order.objects.exists())
    @rule(index=anything)
    def open_payment_page(self, index: int) -> None:
        order = chosen(list(Order.objects.order_by("created_at")), index)
        try:
            payment = paying.reopen_payment(order=order, at=self.clock.now)
            with suppress(BrokenReceiver):
                credit.use_credit(payment=payment, at_most=payment.amount, at=self.clock.now)
            self.pages.append(shops.create_session(order, at=self.clock.now))
        except (paying.OrderClosed, OutsideError, Payment.DoesNotExist):
            return  # the page says why; the customer may press again

    @precondition(lambda self: bool(self.pages))
    @rule(index=anything, card=st.sampled_from(CARDS))
    def pay(self, index: int, card: str) -> None:
        try:
            self.stripe.pay(chosen(self.pages, index), card)
        except SandboxError:
            return  # the page has expired

    @precondition(lambda self: Order.objects.exists())
    @rule(index=anything, card=st.sampled_from(CARDS))
    def pay_on_two_pages(self, index: int, card: str) -> None:
        """The answer that would have brought the first page was lost, and the customer found it nevertheless."""
        pages = len(self.pages)
        self.open_payment_page(index)
        if len(self.pages) > pages:
            order = chosen(list(Order.objects.order_by("created_at")), index)
            first = Payment.objects.get(invoice=order.invoice_id, state=PaymentState.PENDING)
            payments.fail(payment_id=first.pk, reason="the answer was lost", at=self.clock.now)
            self.open_payment_page(index)
        for page in range(pages, len(self.pages)):
            self.pay(page, card)

    @precondition(lambda self: Order.objects.count() < MOST_ORDERS)
    @rule(price=st.integers(min_value=0, max_value=1))
    def gain_credit(self, price: int) -> None:
        """An order is paid twice, staff leave the second payment to the customer, and a bill uses a part of it."""
        self.order(price)
        self.pay_on_two_pages(Order.objects.count() - 1, CARDS[0])
        self.reconcile()
        self.workers_finish()
        for _held in Payment.objects.filter(state=PaymentState.UNDER_REVIEW):
            self.decide_review(0, is_accepted=True)
        self.bill(price)
        self.pay_bill(len(bills()) - 1)

    @precondition(lambda self: Order.objects.filter(status=OrderStatus.PENDING_PAYMENT).exists())
    @rule(index=anything)
    def pay_with_credit(self, index: int) -> None:
        order = chosen(list(Order.objects.filter(status=OrderStatus.PENDING_PAYMENT).order_by("created_at")), index)
        with suppress(invoicing.InsufficientBalance, BrokenReceiver):
            invoicing.pay_from_wallet(invoice=order.invoice, at=self.clock.now)

    @precondition(lambda self: Order.objects.exists())
    @rule(index=anything)
    def cancel_order(self, index: int) -> None:
        order = chosen(list(Order.objects.order_by("created_at")), index)
        cancellation.cancel_unpaid(order=order, reason="by the customer", actor=self.shop.customer, at=self.clock.now)

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
    @rule(index=anything, is_accepted=st.booleans())
    def decide_review(self, index: int, *, is_accepted: bool) -> None:
        """Credit the customer with it, or send it back."""
        held = chosen([row for row in received() if row.state == PaymentState.UNDER_REVIEW], index)
        if is_accepted:
            with suppress(BrokenReceiver):
                reviews.accept_payment(payment_id=held.pk, actor=self.shop.customer, at=self.clock.now)
        else:
            self.refund(received().index(held), None)

    @rule(price=st.integers(min_value=0, max_value=1))
    def bill(self, price: int) -> None:
        """An invoice that is issued before anything pays it."""
        unit = Money(300, self.prices[price].currency)
        line = invoicing.InvoiceLine(kind=ItemKind.SETUP, description="Moving a world", unit=unit)
        draft = invoicing.draft_invoice(
            organization=self.customers[price].organization,
            currency=unit.currency,
            lines=[line],
            at=self.clock.now,
        )
        invoicing.issue_invoice(invoice=draft, at=self.clock.now)

    @precondition(lambda self: bool(bills()))
    @rule(index=anything)
    def pay_bill(self, index: int) -> None:
        with suppress(invoicing.InsufficientBalance, BrokenReceiver):
            invoicing.pay_from_wallet(invoice=chosen(bills(), index), at=self.clock.now)

    @precondition(lambda self: bool(bills()))
    @rule(index=anything)
    def void_bill(self, index: int) -> None:
        invoice = chosen(bills(), index)
        invoicing.void_invoice(invoice=invoice, reason="in error", actor=self.shop.customer, at=self.clock.now)

    @precondition(lambda self: Order.objects.filter(status__in=queries.UNDELIVERED).exists())
    @rule(index=anything)
    def cancel_paid_order(self, index: int) -> None:
        order = chosen(list(Order.objects.filter(status__in=queries.UNDELIVERED).order_by("created_at")), index)
        cancellation.cancel_paid(order_id=order.pk, reason="no room", actor=self.shop.customer, at=self.clock.now)

    # Stripe and the banks

    @precondition(lambda self: not self.loses_webhooks)
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

    @precondition(lambda self: bool(self.objects("dispute", "needs_response", "appeal_under_review")))
    @rule(index=anything, outcome=st.sampled_from(("won", "lost")))
    def dispute_ends(self, index: int, outcome: str) -> None:
        undecided = self.objects("dispute", "needs_response", "appeal_under_review")
        self.stripe.close_dispute(chosen(undecided, index)["id"], outcome)

    @precondition(lambda self: bool(self.objects("dispute", "lost")))
    @rule(index=anything, outcome=st.sampled_from(("won", "lost", "")))
    def dispute_is_appealed(self, index: int, outcome: str) -> None:
        dispute = chosen(self.objects("dispute", "lost"), index)["id"]
        with suppress(SandboxError):  # that of a bank debit is final
            self.stripe.appeal_dispute(dispute)
            if outcome:
                self.stripe.close_dispute(dispute, outcome)

    @precondition(lambda self: bool(self.objects("payment_intent", "succeeded")))
    @rule(index=anything)
    def debit_is_returned(self, index: int) -> None:
        with suppress(SandboxError):  # a card payment, or disputed already
            self.stripe.return_debit(chosen(self.objects("payment_intent", "succeeded"), index)["id"])

    @precondition(lambda self: bool(received()))
    @rule(minor=st.sampled_from((100, 700)), currency=st.sampled_from(("usd", "jpy")))
    def pay_out(self, minor: int, currency: str) -> None:
        self.stripe.pay_out(minor, currency)

    @precondition(lambda self: bool(self.objects("payment_intent", "processing")))
    @rule(outcome=st.sampled_from(("succeed", "fail")))
    def debit_ends(self, outcome: str) -> None:
        self.stripe.clear_debit(chosen(self.objects("payment_intent", "processing"), 0)["id"], outcome)

    # Time, and machines that fail

    @rule(outage=st.sampled_from(OUTAGES), kind=st.sampled_from(("lose_answer", "status", "drop")))
    def outage(self, outage: tuple[str, str], kind: str) -> None:
        self.stripe.arm(*outage, kind, times=3, status=503)

    @rule()
    def paying_fails(self) -> None:
        """A fault of ours where invoices are paid, until the workers finish."""
        self.is_paying_broken = True

    def receive_invoices_paid(self, **_: Any) -> None:
        """A receiver of the signal, which fails with whatever paid the invoice."""
        if self.is_paying_broken:
            raise BrokenReceiver

    @rule()
    def reconcile(self) -> None:
        """What no webhook brought, and the gateway's fees and payouts."""
        for compare in (catch_up.catch_up_events, sweep.sweep_objects, balance.book_balance_transactions):
            with suppress(OutsideError):
                compare(gateway="stripe", at=self.clock.now)

    @rule(wait=st.sampled_from(WAITS))
    def time_passes(self, wait: timedelta) -> None:
        self.clock.pass_by(wait)
        shops.run_once(self.clock.now)
        if self.loses_webhooks and wait > timedelta(days=20):
            self.reconcile()  # nobody is without it for longer than Stripe keeps its events

    @rule()
    def workers_finish(self) -> None:
        self.is_paying_broken = False
        shops.run_until_idle(self.clock, steps=30)

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
        self.is_paying_broken = False
        shops.run_until_idle(self.clock, steps=20, step=timedelta(minutes=2))
        self.clock.pass_by(sweep.GRACE)
        sweep.sweep_objects(gateway="stripe", at=self.clock.now)
        assert ends.unswept(self.stripe) == set()
        for _round in range(5):
            if not self.loses_webhooks:
                shops.deliver_webhooks(self.stripe)
            shops.run_until_idle(self.clock, steps=20, step=timedelta(minutes=2))  # longer than a repeated build waits
            self.reconcile()
            self.clock.pass_by(sweep.GRACE)
        assert broken_rules() == {}
        # Nothing signs here what was written when the shop was built, minutes before.
        assert [each for each in audit.verify() if each.problem != "unsigned"] == []
        assert dead_work() == {}
        ends.assert_clearing_is_what_stripe_holds(self.stripe)
        ends.assert_disputes_end_as_at_stripe(self.stripe)
        ends.assert_paid_orders_are_delivered()
        self.servers_run_while_paid()
        ends.assert_nothing_is_charged_in_vain(self.stripe)

    def servers_run_while_paid(self) -> None:
        """At the end."""
        ends.assert_servers_run_while_paid(self.stripe)

    def objects(self, kind: str, *statuses: str) -> list[dict[str, Any]]:
        return ends.objects_of(self.stripe, kind, *statuses)
