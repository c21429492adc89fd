"""Signals carry ids: a receiver makes as many statements for twenty rows as for one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.dispatch import Signal
from django.test.utils import CaptureQueriesContext

from billing import events as billing_events
from billing import payments
from billing.gateways.base import GatewayPayment
from billing.models import AllocationReversal, Invoice, InvoiceState, Payment, PaymentAllocation
from core.models import AuditEntry
from orders.models import Order, OrderItem, OrderStatus
from servers import events as server_events
from servers.models import HoldKind, ProvisioningTask, ServerHold
from support.models import Delivery
from tests import database_reset
from tests.builders import NOON
from tests.pages.rows import make_dataset, make_order
from tests.servers.builders import make_ports

MANY = 20


@dataclass(frozen=True)
class Sales:
    """The ids of paid orders' rows, in one order."""

    orders: list[UUID]
    invoices: list[UUID]
    subscriptions: list[UUID]
    servers: list[UUID]


@pytest.fixture(scope="module")
def sales(django_db_setup: None, django_db_blocker: Any) -> Iterator[Sales]:
    """Paid orders whose servers are being set up."""
    with django_db_blocker.unblock():
        database_reset.reset()
        made = make_dataset(1)
        assert made.server.node is not None
        make_ports(made.server.node, MANY, first=30_000)
        orders = [made.order]
        blueprint, region = made.server.blueprint, orders[0].items.get().region
        orders += [make_order(made.customer, blueprint, region, f"order {count}") for count in range(MANY)]
        for order in orders:
            pay(order)
        items = OrderItem.objects.filter(order__in=orders).select_related("order").order_by("order_id")
        yield Sales(
            orders=[item.order_id for item in items],
            invoices=[item.order.invoice_id for item in items],
            subscriptions=[item.subscription_id for item in items],
            servers=[item.server_id for item in items if item.server_id],
        )
        database_reset.reset()


def pay(order: Order) -> None:
    payment = Payment.objects.get(invoice_id=order.invoice_id)
    gateway_payment = GatewayPayment(
        transaction_id=f"pi_{payment.pk}",
        amount=payment.amount,
        is_live=False,
        payment_id=payment.pk,
        organization_id=order.organization_id,
        method_label="Visa ending 4242",
    )
    payments.settle(payment_id=payment.pk, gateway_payment=gateway_payment, at=NOON)


def hold_all() -> None:
    servers = OrderItem.objects.values_list("server_id", "organization_id")
    ServerHold.objects.bulk_create(
        ServerHold(server_id=server, organization_id=owner, kind=HoldKind.BILLING, reason="disputed", placed_at=NOON)
        for server, owner in servers
    )


def refund_all() -> None:
    """What was delivered is refunded."""
    Order.objects.filter(status=OrderStatus.PROVISIONING).update(status=OrderStatus.ACTIVE, active_at=NOON)
    AllocationReversal.objects.bulk_create(
        AllocationReversal(
            organization_id=allocation.organization_id,
            allocation=allocation,
            amount_minor=allocation.amount_minor,
            currency=allocation.currency,
            at=NOON,
        )
        for allocation in PaymentAllocation.objects.all()
    )
    Invoice.objects.filter(state=InvoiceState.PAID).update(state=InvoiceState.REFUNDED)


def nothing() -> None:
    """No preparation."""


def held() -> int:
    return ServerHold.objects.filter(lifted_at=None).count()


def lifted() -> int:
    return ServerHold.objects.exclude(lifted_at=None).count()


def active() -> int:
    return Order.objects.filter(status=OrderStatus.ACTIVE).count()


def failed() -> int:
    return Order.objects.filter(status=OrderStatus.FAILED).count()


def unstarted() -> int:
    """The invoices of a renewal start nothing."""
    return Order.objects.filter(status=OrderStatus.PAID).count()


SIGNALS = [
    (billing_events.invoices_paid, "invoices", {}, nothing, unstarted, 0),
    (billing_events.funds_withdrawn, "invoices", {"reason": "payment refunded"}, refund_all, held, 1),
    (billing_events.funds_reinstated, "invoices", {}, hold_all, lifted, 1),
    (billing_events.subscriptions_ended, "subscriptions", {"reason": "canceled"}, nothing, held, 1),
    (billing_events.subscriptions_recovered, "subscriptions", {}, hold_all, lifted, 1),
    (server_events.servers_running, "servers", {}, nothing, active, 1),
    (server_events.servers_failed, "servers", {"reason": "no image"}, nothing, failed, 1),
]
NAMES = "paid withdrawn reinstated ended recovered running failed".split()  # noqa: SIM905 - reads as a list


@pytest.mark.django_db
@pytest.mark.parametrize(("signal", "rows", "facts", "prepare", "changed", "each"), SIGNALS, ids=NAMES)
def test_twenty_rows_take_as_many_statements_as_one(
    sales: Sales,
    signal: Signal,
    rows: str,
    facts: dict[str, Any],
    prepare: Callable[[], None],
    changed: Callable[[], int],
    each: int,
) -> None:
    prepare()
    ids = getattr(sales, rows)
    argument = f"{rows[:-1]}_ids"
    with transaction.atomic():
        signal.send(Order, **{argument: ids[:1]}, **facts, at=NOON)  # settings are cached from here on
        transaction.set_rollback(True)
    with transaction.atomic():
        with CaptureQueriesContext(connection) as one:
            signal.send(Order, **{argument: ids[:1]}, **facts, at=NOON)
        transaction.set_rollback(True)

    with CaptureQueriesContext(connection) as many:
        signal.send(Order, **{argument: ids[1:]}, **facts, at=NOON)

    assert len(many) == len(one)
    assert changed() == each * MANY


@pytest.mark.django_db
def test_a_batch_is_one_audit_entry_that_names_every_row(sales: Sales) -> None:
    refund_all()
    before = AuditEntry.objects.count()

    billing_events.funds_withdrawn.send(Invoice, invoice_ids=sales.invoices[:3], reason="disputed", at=NOON)

    assert AuditEntry.objects.count() == before + 1
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.entity_type, entry.entity_id) == ("server.hold", "servers.server", "")
    assert entry.metadata == {"count": 3, "ids": sorted(str(server) for server in sales.servers[:3])}


@pytest.mark.django_db
def test_every_customer_of_a_batch_is_emailed_and_every_server_converged(sales: Sales) -> None:
    Delivery.objects.all().delete()
    ProvisioningTask.objects.all().delete()

    server_events.servers_running.send(Order, server_ids=sales.servers, at=NOON)
    refund_all()
    billing_events.funds_withdrawn.send(Invoice, invoice_ids=sales.invoices, reason="disputed", at=NOON)

    references = {f"order.active:{order}" for order in sales.orders}
    assert set(Delivery.objects.values_list("reference", flat=True)) == references
    assert set(ProvisioningTask.objects.values_list("server_id", flat=True)) == set(sales.servers)
