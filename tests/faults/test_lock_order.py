"""The one lock order (ARCHITECTURE.md): acts that lock the same rows wait for each other, and never deadlock.

A deadlock needs two transactions at the same place at once. So each lock is held a little longer than it would be.
"""

import re
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from billing import (
    auto_top_ups,
    charge_sync,
    credit,
    gateway_accounts,
    invoicing,
    payments,
    refunds,
    renewals,
    saved_charges,
    subscriptions,
)
from billing.gateways.base import GatewayPayment, GatewayRefund, RefundStatus
from billing.ledger_audit import broken_rules
from billing.models import Payment, PaymentMethod, PaymentState, Period, RunKind, Subscription
from billing.runs import runner
from catalog.models import Plan, PlanPrice
from core.ids import uuid7
from core.money import Money
from orders import cancellation, paying
from orders.changes import making
from orders.models import Order, OrderStatus
from tests import shop as shops
from tests.billing.sales import accept, make_sale
from tests.builders import make_organization
from tests.orders.sold import MAY, MIDDLE, make_offer, make_sold
from tests.shop import Shop, allow_unpaid_orders, place_order

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
LOCKS = re.compile(r"^\s*(UPDATE|MERGE|WITH)|FOR (NO KEY )?UPDATE")
HOLD_SECONDS = 0.004
ROUNDS, AT_ONCE = 2, 4
AMOUNT = Money(10, "USD")

type Acts = list[Callable[[], Any]]


def run_at_once(acts: Acts, hold_seconds: float = HOLD_SECONDS) -> list[BaseException]:
    """Run the acts in threads that begin together, each holding its locks longer; the errors."""
    barrier, errors = threading.Barrier(len(acts)), list[BaseException]()

    def hold_longer(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if LOCKS.search(sql):
            time.sleep(hold_seconds)
        return result

    def alone(act: Callable[[], Any]) -> None:
        try:
            with connection.execute_wrapper(hold_longer):
                barrier.wait(timeout=30)
                act()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=alone, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def deadlocks() -> int:
    """How many the database has found in itself."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def settle(invoice_id: UUID) -> Payment:
    """The money for the invoice arrives, however late."""
    return settle_payment(Payment.objects.get(invoice_id=invoice_id))


def settle_payment(payment: Payment) -> Payment:
    """The money that the payment asks for arrives."""
    gateway_payment = GatewayPayment(
        transaction_id=f"pi_{payment.pk}",
        amount=payment.amount,
        is_live=False,
        payment_id=payment.pk,
        organization_id=payment.organization_id,
    )
    return payments.settle(payment_id=payment.pk, gateway_payment=gateway_payment, at=timezone.now())


def active_subscription(order: Order) -> Subscription:
    """The subscription of an order that is paid now."""
    assert settle(order.invoice_id).state == PaymentState.SUCCEEDED
    return order.items.get().subscription


def late_payments_and_free_orders(shop: Shop) -> Acts:
    """Money for canceled orders arrives, which reserves capacity again, while free orders take some."""
    free = PlanPrice.objects.filter(plan__code="mc-free").first() or shops.make_priced_plan(code="mc-free", minor=0)
    Plan.objects.update(stock=1000)
    allow_unpaid_orders()
    late = [place_order(shop) for _ in range(AT_ONCE)]
    for order in late:
        assert cancellation.cancel_unpaid(order=order, reason="too slow", at=timezone.now())
    return [
        *[lambda order=order: settle(order.invoice_id) for order in late],
        *[lambda: place_order(shop, plan_price=free) for _ in late],
    ]


def refunds_and_their_events(shop: Shop) -> Acts:
    """Staff refund a part of a payment while events bring refunds made at the gateway."""
    payment = settle(place_order(shop).invoice_id)
    assert payment.state == PaymentState.SUCCEEDED

    def refund() -> None:
        refunds.refund_payment(payment=payment, amount=AMOUNT, reason="asked", actor=None, at=timezone.now())

    def record() -> None:
        made_there = GatewayRefund(f"re_{uuid7()}", str(payment.transaction_id), AMOUNT, RefundStatus.SUCCEEDED)
        refunds.record_refund(payment_id=payment.pk, gateway_refund=made_there, at=timezone.now())

    return [refund, record] * AT_ONCE


def releases_and_ends(shop: Shop) -> Acts:
    """Orders that could not be delivered are canceled while the gateway ends their subscriptions."""
    acts: Acts = []
    for _ in range(AT_ONCE):
        order = place_order(shop)
        subscription = active_subscription(order)
        Order.objects.filter(pk=order.pk).update(status=OrderStatus.FAILED)
        acts += [
            lambda order=order: cancellation.cancel_paid(  # type: ignore[misc]
                order_id=order.pk, reason="asked", actor=None, at=timezone.now()
            ),
            lambda subscription=subscription: subscriptions.end_subscription(  # type: ignore[misc]
                subscription=subscription, reason="ended there", at=timezone.now()
            ),
        ]
    return acts


def two_renewals_of_each_subscription(shop: Shop) -> Acts:
    """The invoice of a subscription's next period is paid while the gateway brings the money for the one after it."""
    acts: Acts = []
    for _ in range(AT_ONCE):
        subscription = active_subscription(place_order(shop))
        assert subscription.current_period_end is not None
        ends = [subscription.current_period_end + timedelta(days=30 * number) for number in range(3)]
        invoice = invoicing.draft_invoice(
            organization=subscription.organization,
            currency=subscription.currency,
            lines=renewals.renewal_lines(subscription, Period(ends[0], ends[1])),
            at=timezone.now(),
        )
        payments.open_payment(invoice=invoice, gateway="stripe", expires_at=ends[0], at=timezone.now())
        brought = GatewayPayment(
            transaction_id=f"pi_{uuid7()}",
            amount=subscription.amount,
            is_live=False,
            organization_id=subscription.organization_id,
            period=Period(ends[1], ends[2]),
        )
        acts += [
            lambda invoice=invoice: settle(invoice.pk),  # type: ignore[misc]
            lambda subscription=subscription, brought=brought: renewals.record_renewal(  # type: ignore[misc]
                gateway="stripe", subscription_id=subscription.pk, gateway_payment=brought, at=timezone.now()
            ),
        ]
    return acts


def place_orders_with_credit(shop: Shop, credit_minor: int) -> list[Order]:
    """Unpaid orders at $8.00 of one organization that has credit."""
    allow_unpaid_orders()
    earlier = make_sale(minor=9900, organization=shop.organization)
    accept(earlier.settle(amount=Money(credit_minor, "USD")))
    return [place_order(shop, uses_credit=True) for _ in range(AT_ONCE)]


def use_credit(order: Order) -> bool:
    """The customer continues to payment."""
    payment = Payment.objects.get(invoice_id=order.invoice_id)
    return credit.use_credit(payment=payment, at_most=order.total, at=timezone.now())


def orders_that_use_the_same_credit(shop: Shop) -> Acts:
    """Each order is paid in two tabs; credit suffices for two of them, and for a part of a third."""
    orders = place_orders_with_credit(shop, 1900)
    acts: Acts = [lambda order=order: use_credit(order) for order in orders]  # type: ignore[misc]
    return acts * 2


def credit_and_refunds_of_what_it_came_from(shop: Shop) -> Acts:
    """Orders use credit while refunds take it back: of the payment that it came from, and of an order it paid."""
    orders = place_orders_with_credit(shop, 3000)
    source = Payment.objects.filter(organization=shop.organization, received_minor=3000).latest("created_at", "id")
    paid = place_order(shop, uses_credit=True)
    assert use_credit(paid)
    Order.objects.filter(pk=paid.pk).update(status=OrderStatus.FAILED)

    def record() -> None:
        made_there = GatewayRefund(f"re_{uuid7()}", str(source.transaction_id), AMOUNT, RefundStatus.SUCCEEDED)
        refunds.record_refund(payment_id=source.pk, gateway_refund=made_there, at=timezone.now())

    return [
        *[lambda order=order: use_credit(order) for order in orders],
        *[record] * AT_ONCE,
        lambda: cancellation.cancel_paid(order_id=paid.pk, reason="asked", actor=None, at=timezone.now()),
    ]


def credit_and_the_end_of_its_orders(shop: Shop) -> Acts:
    """Orders use credit while they are canceled, and while their payments expire."""
    acts: Acts = []
    for order in place_orders_with_credit(shop, 1900):
        payment = Payment.objects.get(invoice_id=order.invoice_id)
        acts += [
            lambda order=order: use_credit(order),  # type: ignore[misc]
            lambda payment=payment: payments.expire(payment_id=payment.pk, at=timezone.now()),  # type: ignore[misc]
            lambda order=order: cancellation.cancel_unpaid(  # type: ignore[misc]
                order=order, reason="asked", actor=shop.customer, at=timezone.now()
            ),
        ]
    return acts


def automatic_top_ups_and_their_settings(shop: Shop) -> Acts:
    """Automatic top-ups are saved anew and switched off while one is asked for, arrives and is refused."""
    now, acts, amount = timezone.now(), list[Callable[[], Any]](), Money(1000, "USD")
    for _ in range(AT_ONCE):
        organization = make_organization()
        method = PaymentMethod.objects.create(
            organization=organization, gateway="stripe", reference=f"pm_{organization.pk}", is_default=True
        )
        wanted: dict[str, Any] = {
            "organization": organization,
            "below": amount,
            "amount": amount,
            "actor": "test",
            "at": now,
        }
        row = auto_top_ups.save(**wanted, is_active=True)
        payment = saved_charges.open_charge(
            organization_id=organization.pk, method=method, amount=amount, is_automatic=True, at=now
        )
        acts += [
            lambda wanted=wanted: auto_top_ups.save(**wanted, is_active=False),  # type: ignore[misc]
            lambda wanted=wanted: auto_top_ups.save(**wanted, is_active=True),  # type: ignore[misc]
            lambda row=row: auto_top_ups.request(row, at=now),  # type: ignore[misc]
            lambda payment=payment: settle_payment(payment),  # type: ignore[misc]
            lambda payment=payment: charge_sync.fail(  # type: ignore[misc]
                payment_id=payment.pk, code="card_declined", text="refused", is_final=True, at=now
            ),
        ]
    return acts


@pytest.mark.parametrize(
    "prepare",
    [
        automatic_top_ups_and_their_settings,
        late_payments_and_free_orders,
        refunds_and_their_events,
        releases_and_ends,
        two_renewals_of_each_subscription,
        orders_that_use_the_same_credit,
        credit_and_refunds_of_what_it_came_from,
        credit_and_the_end_of_its_orders,
    ],
)
def test_acts_that_lock_the_same_rows_never_deadlock(shop: Shop, prepare: Callable[[Shop], Acts]) -> None:
    before, errors = deadlocks(), list[BaseException]()
    for _ in range(ROUNDS):
        errors += run_at_once(prepare(shop))

    assert errors == []
    assert deadlocks() == before
    assert broken_rules() == {}


IN_ORDER = ("billing_invoice", "billing_subscription", "billing_ledgeraccount", "servers_server")


def test_a_run_locks_invoices_then_subscriptions_then_servers_each_in_one_round(shop: Shop) -> None:
    unpaid, over = make_sold(), make_sold()
    Subscription.objects.filter(pk=over.subscription.pk).update(
        status="ended", ended_at=MAY, deletion_due_at=MAY + timedelta(days=21)
    )
    rounds = list[tuple[str, list[str]]]()

    def note_locks(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.lstrip().startswith("SELECT") and "FOR NO KEY UPDATE" in sql:
            table = re.search(r'FROM\s+"?(\w+)', sql)
            assert table is not None
            rounds[-1][1].append(table[1])
        return execute(sql, *rest)

    for kind, days in (("renew", -7), ("dun", 0), ("dun", 7), ("dun", 17), ("expire", 21)):
        rounds.append((kind, []))
        with connection.execute_wrapper(note_locks):
            runner.execute(RunKind(kind), at=MAY + timedelta(days=days))

    assert unpaid.subscription.status == "ended"
    for _kind, tables in rounds:
        locked = [table for table in tables if table in IN_ORDER]
        assert locked == sorted(locked, key=IN_ORDER.index)
    assert rounds[-1][1].count("billing_subscription") == 1


def test_changes_paid_together_lock_all_their_servers_before_any_stock_or_capacity(shop: Shop) -> None:
    offer = make_offer(memory_mib=10**6)
    Plan.objects.filter(pk=offer.small.plan_id).update(stock=1000)
    running, arrived, taken = [make_sold(offer), make_sold(offer)], {}, list[tuple[str, str]]()
    for sold in reversed(running):
        payment = making.open_payment(change=sold.confirm(sold.request(offer.large)), at=MIDDLE)
        arrived[payment.pk] = GatewayPayment(
            transaction_id=f"pi_{payment.pk}",
            amount=payment.amount,
            is_live=False,
            payment_id=payment.pk,
            organization_id=payment.organization_id,
        )

    def note_locks(execute: Callable[..., Any], sql: str, params: Any, *rest: Any) -> Any:
        table = re.search(r'(?:UPDATE|FROM)\s+"?(catalog_plan|servers_\w+)', sql)
        if table is not None and LOCKS.search(sql):
            taken.append((table[1], str(params)))
        return execute(sql, params, *rest)

    with connection.execute_wrapper(note_locks):
        assert len(payments.settle_expected(arrived, at=MIDDLE)) == len(running)

    assert {table for table, _params in taken} >= {"catalog_plan", "servers_reservation", "servers_server"}
    first, params = taken[0]
    assert first == "servers_server"
    assert all(str(sold.server.pk) in params for sold in running)


def test_orders_and_changes_read_no_gateways_keys_while_they_hold_locks(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(gateway: str) -> bool:
        raise AssertionError(f"the keys of {gateway} are read under locks")

    monkeypatch.setattr(gateway_accounts, "mode_of", refuse)
    order = place_order(shop)
    payments.fail(payment_id=Payment.objects.get(invoice=order.invoice_id).pk, reason="refused", at=timezone.now())
    assert paying.reopen_payment(order=order, at=timezone.now()).is_open(timezone.now())

    sold = make_sold()
    change = sold.confirm(sold.request(sold.offer.large))
    assert making.open_payment(change=change, at=MIDDLE).is_open(MIDDLE)
