"""What staff do with orders: each action once over HTTP, with its audit entry."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import AllocationReversal
from orders import fulfilment
from orders.models import Order, OrderStatus
from servers.models import (
    Allocation,
    DesiredState,
    Reservation,
    Server,
)
from tests.admin.action_pages import run, undisputed_rows
from tests.admin.rows import Rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(db: None) -> Rows:
    return undisputed_rows(1)


def waiting_order(rows: Rows) -> Order:
    """A paid order without a reservation or a server."""
    order: Order = rows.orders[0]
    item = rows.items[0]
    Server.objects.update(reservation=None)
    item.server, item.reservation = None, None
    item.options = {"variables": {}}
    item.save()
    Order.objects.filter(pk=order.pk).update(
        status=OrderStatus.WAITING_CAPACITY,
        paid_at=timezone.now(),
        refund_due_at=timezone.now() + timedelta(hours=1),
    )
    return order


def test_a_waiting_order_is_placed_once_there_is_capacity(
    rows: Rows, superadmin: Client, django_capture_on_commit_callbacks: Any
) -> None:
    order = waiting_order(rows)
    Allocation.objects.create(node=rows.nodes[0], ref="2", ip="192.0.2.1", port=30000)

    with django_capture_on_commit_callbacks(execute=True):
        run(superadmin, order, "retry_placement")

    assert order.reload().status == OrderStatus.PROVISIONING
    assert Reservation.objects.count() == 2


def test_a_waiting_order_without_capacity_keeps_waiting(
    rows: Rows, superadmin: Client, django_capture_on_commit_callbacks: Any
) -> None:
    order = waiting_order(rows)

    with django_capture_on_commit_callbacks(execute=True):
        messages = run(superadmin, order, "retry_placement")

    assert order.reload().status == OrderStatus.WAITING_CAPACITY
    assert "is looked for now" in messages[0]


def test_an_unexpected_failure_is_shown_and_rolled_back(
    rows: Rows, superadmin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = waiting_order(rows)

    def fail(*_arguments: object, **_named: object) -> None:
        Order.objects.filter(pk=order.pk).update(status=OrderStatus.PAID)
        raise KeyError("variables")

    monkeypatch.setattr(fulfilment, "retry_after_commit", fail)

    messages = run(superadmin, order, "retry_placement")

    assert "failed: KeyError" in messages[0]
    assert order.reload().status == OrderStatus.WAITING_CAPACITY


def test_a_failed_order_is_canceled_and_its_money_goes_back(rows: Rows, superadmin: Client) -> None:
    order = rows.orders[0]
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.FAILED, paid_at=timezone.now(), invoice=rows.issued)

    run(superadmin, order, "refund", reason="cannot be built")

    credited = AllocationReversal.objects.get(refund=None, dispute=None)  # its gateway refunds no disputed payment
    assert (credited.amount_minor, credited.currency) == (800, "USD")
    assert order.reload().status == OrderStatus.CANCELED
    assert Server.objects.get().desired_state == DesiredState.ABSENT


def test_an_unpaid_order_is_canceled(rows: Rows, superadmin: Client) -> None:
    run(superadmin, rows.orders[0], "cancel", reason="asked for")

    assert rows.orders[0].reload().status == OrderStatus.CANCELED
