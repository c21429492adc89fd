"""Staff decide while others do, a process dies or an order fails in part; every audit holds afterwards."""

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from django.core import mail as django_mail
from django.db.backends.utils import CursorWrapper
from django.test import Client

from billing import payments, refunds, reviews
from billing import tasks as billing_tasks
from billing.ledger_audit import broken_rules
from billing.models import (
    InvoiceState,
    Payment,
    PaymentState,
    Refund,
    RefundState,
)
from catalog.models import Plan
from orders import cancellation, paying, placement
from orders import tasks as order_tasks
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from servers.models import Server, ServerStatus
from tests import shop as shops
from tests.billing.sales import usd, wallet_balance
from tests.builders import make_staff
from tests.faults import forks
from tests.faults.money.endings import at_once, audit_all, audit_tripay, finish, post_all
from tests.gateways.adapters import Tripay
from tests.shop import Clock, Shop, create_session, place_order, run_until_idle

pytestmark = pytest.mark.django_db(transaction=True)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def _paid(shop: Shop, clock: Clock) -> Payment:
    order = place_order(shop, at=clock.now)
    shop.sandbox.pay(create_session(order, at=clock.now))
    finish(clock)
    return Payment.objects.get(invoice=order.invoice, state=PaymentState.SUCCEEDED)


def _held_payment(shop: Shop, clock: Clock) -> Payment:
    """The second of two payments for one order, which is under review."""
    order = place_order(shop, at=clock.now)
    pages = [create_session(order, at=clock.now)]
    payments.fail(payment_id=Payment.objects.get(invoice=order.invoice).pk, reason="answer lost", at=clock.now)
    paying.reopen_payment(order=order, at=clock.now)
    pages.append(create_session(order, at=clock.now))
    for page in pages:
        shop.sandbox.pay(page)
    finish(clock)
    return Payment.objects.get(invoice=order.invoice, state=PaymentState.UNDER_REVIEW)


@pytest.mark.parametrize("seed", [1, 5])
def test_staff_decide_at_the_same_moment(shop: Shop, clock: Clock, seed: int) -> None:
    held = _held_payment(shop, clock)
    common: dict[str, Any] = {"actor": shop.customer, "at": clock.now}
    part: dict[str, Any] = {"payment": held, "amount": usd(300), "reason": "asked"}
    whole: dict[str, Any] = {"payment": held, "amount": usd(800), "reason": "asked"}
    acts: list[Callable[[], object]] = [
        partial(reviews.accept_payment, payment_id=held.pk, **common),
        partial(refunds.refund_payment, **part, **common),
        partial(refunds.refund_payment, **whole, **common),
        partial(refunds.credit_payment, **part, **common),
        partial(refunds.credit_payment, **whole, **common),
        partial(reviews.accept_payment, payment_id=held.pk, **common),
    ]
    random.Random(seed).shuffle(acts)
    errors = at_once(*acts)
    assert {type(error) for error in errors} <= {refunds.NotRefundable}, errors
    assert broken_rules() == {}
    finish(clock)
    audit_all(shop.sandbox)
    given = Payment.objects.get(pk=held.pk)
    assert given.refunded_minor + wallet_balance(shop.organization) == 800
    assert Order.objects.get().status == OrderStatus.ACTIVE


def test_credit_pressed_by_four_browsers_at_once(rupiah: Shop, tripay: Tripay) -> None:
    clock = Clock(rupiah.sandbox)
    order = place_order(rupiah, at=clock.now)
    tripay.choose(Payment.objects.get())
    create_session(order, at=clock.now)
    tripay.pay(tripay.sessions()[0])
    Payment.objects.update(poll_at=clock.now)
    run_until_idle(clock)
    payment = Payment.objects.get()
    address = f"/admin/billing/payment/{payment.pk}/refund/"
    staff = make_staff(is_superuser=True)
    browsers = [Client() for _ in range(4)]
    for browser in browsers:
        browser.force_login(staff)
    data = {"_form_submitted": "True", "amount": "50000", "reason": "slow", "seen": "0"}
    errors = at_once(*[partial(browser.post, address, data) for browser in browsers])
    assert errors == []
    assert wallet_balance(rupiah.organization, "IDR") == 50_000_00
    audit_tripay(tripay)


def items_of_two(shop: Shop, **second: Any) -> list[placement.ItemRequest]:
    return [shop.item_request(server_name="one"), shop.item_request(server_name="two", **second)]


def test_partly_sold_out_at_late_payment_and_partly_refunded(shop: Shop, clock: Clock) -> None:
    rare = shops.make_priced_plan(code="mc-2gb", memory_mib=2048, minor=1600, stock=1)
    order = place_order(shop, at=clock.now, items=items_of_two(shop, plan_price=rare))
    page = create_session(order, at=clock.now)
    assert cancellation.cancel_unpaid(order=order, reason="not paid in time", at=clock.now)
    other = shops.make_customers(shop, 1)[0]
    theirs = place_order(other, at=clock.now, plan_price=rare)
    shop.sandbox.pay(create_session(theirs, at=clock.now))
    shop.sandbox.pay(page)
    post_all(shop.sandbox)
    for _ in range(6):
        shops.run_once(clock.pass_by(timedelta(minutes=1)))
    assert order.reload().status == OrderStatus.WAITING_CAPACITY
    assert broken_rules() == {}
    payment = Payment.objects.get(invoice=order.invoice)
    refunds.refund_payment(payment=payment, amount=usd(500), reason="late", actor=shop.customer, at=clock.now)
    for _ in range(4):
        shops.run_once(clock.pass_by(timedelta(minutes=1)))
    clock.pass_by(25 * HOUR)
    finish(clock)
    audit_all(shop.sandbox)
    assert order.reload().status == OrderStatus.CANCELED
    assert payment.reload().refunded_minor == 2400
    assert Server.objects.exclude(status=ServerStatus.DELETED).count() == 1
    assert Plan.objects.get(code="mc-2gb").stock == 0
    assert {row.subscription.status for row in order.items.all()} <= {"canceled", "ended"}


def test_one_server_of_three_fails_for_ever(shop: Shop, clock: Clock) -> None:
    items = [*items_of_two(shop), shop.item_request(server_name="three")]
    order = place_order(shop, at=clock.now, items=items)
    shop.sandbox.pay(create_session(order, at=clock.now))
    shop.sandbox.arm("pterodactyl", "POST /api/application/servers", "status", status=422, times=0, after=2)
    post_all(shop.sandbox)
    for _ in range(20):
        shops.run_once(clock.pass_by(timedelta(seconds=30)))
    assert order.reload().status in {OrderStatus.PROVISIONING, OrderStatus.FAILED}
    payment = Payment.objects.get()
    refunds.refund_payment(payment=payment, amount=usd(700), reason="late", actor=shop.customer, at=clock.now)
    for _ in range(4):
        shops.run_once(clock.pass_by(timedelta(minutes=1)))
    assert broken_rules() == {}
    dispute = shop.sandbox.dispute(str(payment.transaction_id), amount=500)["id"]
    post_all(shop.sandbox)
    run_until_idle(clock, steps=10)
    shop.sandbox.close_dispute(dispute, "lost")
    post_all(shop.sandbox)
    run_until_idle(clock, steps=10)
    for _ in range(5):
        shops.run_once(clock.pass_by(60 * HOUR))
    finish(clock)
    run_until_idle(clock)
    audit_all(shop.sandbox)
    assert order.reload().status == OrderStatus.CANCELED
    [told] = [mail.body for mail in django_mail.outbox if "not ready yet" in mail.subject]
    assert "any of its servers that runs already is deleted" in told
    payment = payment.reload()
    assert payment.refunded_minor + payment.lost_minor + wallet_balance(shop.organization) == 2400
    assert order.invoice.reload().state == InvoiceState.REFUNDED
    assert not Server.objects.exclude(status=ServerStatus.DELETED).exists()


def test_a_worker_two_hours_ahead(shop: Shop, clock: Clock) -> None:
    order = place_order(shop)
    create_session(order)
    ahead = lambda: datetime.now(tz=UTC) + 2 * HOUR  # noqa: E731
    with patch("django.utils.timezone.now", ahead), patch("time.time", lambda: ahead().timestamp()):
        for task in (
            *(order_tasks.cancel_expired, order_tasks.retry_waiting, order_tasks.fail_overdue),
            *(order_tasks.refund_overdue, billing_tasks.poll_open_payments, billing_tasks.end_subscriptions),
        ):
            task()
    assert order.reload().status == OrderStatus.PENDING_PAYMENT
    assert Payment.objects.get().state == PaymentState.PENDING
    poll_at = Payment.objects.get().poll_at
    assert poll_at is not None
    assert poll_at < datetime.now(tz=UTC) + HOUR


def _kill_at_statement(number: int, act: Callable[[], Any]) -> Any:
    """Run in a fork, killed just after that many statements (0: never); the number of statements as output."""
    count = [0]
    execute: Any = CursorWrapper._execute_with_wrappers  # type: ignore[attr-defined]

    def counted(self: CursorWrapper, *args: Any, **kwargs: Any) -> Any:
        result = execute(self, *args, **kwargs)
        count[0] += 1
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def run() -> int:
        with patch.object(CursorWrapper, "_execute_with_wrappers", counted):
            act()
        return count[0]

    return forks.run(run)


@pytest.mark.parametrize("what", ["refund", "credit", "accept"])
def test_killed_at_random_statements_and_asked_for_again(shop: Shop, clock: Clock, what: str) -> None:
    chance, statements = random.Random(what), 0
    for _number in range(4):
        held = _held_payment(shop, clock) if what == "accept" else _paid(shop, clock)
        before = wallet_balance(shop.organization)

        def ask(*, held: Payment = held, at: datetime) -> None:
            if what == "accept":
                reviews.accept_payment(payment_id=held.pk, actor=None, at=at)
            elif what == "credit":
                refunds.credit_payment(payment=held, amount=usd(800), reason="slow", actor=None, at=at)
            else:
                refunds.refund_payment(payment=held, amount=usd(800), reason="slow", actor=None, at=at)

        def act(ask: Callable[..., None] = ask, now: datetime = clock.now) -> None:
            own = Clock(Sandbox(shop.sandbox.base_url, shop.sandbox.smtp_port), now)  # a process's own sockets
            ask(at=now)
            for _ in range(4):
                shops.run_once(own.pass_by(timedelta(minutes=1)))

        exited = _kill_at_statement(chance.randint(3, statements) if statements else 0, act)
        assert exited.was_killed or exited.status == 0, exited.output
        if not statements:
            statements = exited.output
            continue
        assert broken_rules() == {}
        clock.pass_by(HOUR)  # leases run out
        with suppress(refunds.NotRefundable):
            ask(at=clock.now)
        finish(clock)

        audit_all(shop.sandbox)
        if what == "refund":
            assert held.reload().state == PaymentState.REFUNDED
            assert Refund.objects.filter(payment=held, state=RefundState.SUCCEEDED).count() == 1
            at_stripe = [row["payment_intent"] for row in shop.sandbox.stripe_state()["refund"]]
            assert at_stripe.count(held.transaction_id) == 1
        else:
            assert wallet_balance(shop.organization) == before + 800
