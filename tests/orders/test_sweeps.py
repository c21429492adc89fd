"""The sweeps over orders: one order that fails does not stop those behind it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing.models import Payment, PaymentState
from orders import cancellation, fulfilment, tasks
from orders.models import Order, OrderStatus
from servers import capacity
from servers.capacity import reservations
from servers.models import Reservation, ReservationState, Server
from tests.faults.test_lock_order import settle
from tests.shop import Shop, allow_unpaid_orders, place_order


def fail_once(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    """Let the function raise when it is called first."""
    function: Callable[..., Any] = getattr(module, name)
    calls: list[None] = []

    def failing(*arguments: Any, **options: Any) -> Any:
        calls.append(None)
        if len(calls) == 1:
            raise RuntimeError("a fault of ours")
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, failing)


@pytest.mark.parametrize(
    ("module", "name", "before", "after"),
    [
        (cancellation, "cancel_expired", OrderStatus.PENDING_PAYMENT, OrderStatus.CANCELED),
        (cancellation, "refund_overdue", OrderStatus.FAILED, OrderStatus.CANCELED),
        (fulfilment, "retry_waiting", OrderStatus.WAITING_CAPACITY, OrderStatus.PROVISIONING),
    ],
)
def test_an_order_that_fails_does_not_stop_those_behind_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, before: OrderStatus, after: OrderStatus
) -> None:
    now = timezone.now()
    allow_unpaid_orders()
    for _ in range(3):
        place_order(shop)
    due = {} if before == OrderStatus.PENDING_PAYMENT else {"paid_at": now, "refund_due_at": now}
    Order.objects.update(status=before, expires_at=now, **due)
    Payment.objects.update(state=PaymentState.EXPIRED)
    fail_once(monkeypatch, module.transitions, "transition")
    sweep = getattr(module, name)

    assert sweep(at=now) == 2
    assert sorted(Order.objects.values_list("status", flat=True)) == sorted([before, after, after])
    assert sweep(at=now) == 1
    assert set(Order.objects.values_list("status", flat=True)) == {after}


def test_a_reservation_that_fails_does_not_stop_those_behind_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_unpaid_orders()
    for _ in range(3):
        place_order(shop)
    fail_once(monkeypatch, reservations, "_release")

    assert capacity.expire_due(at=timezone.now() + timedelta(days=1)) == 2
    assert Reservation.objects.filter(state=ReservationState.RELEASED).count() == 2


def test_a_worker_whose_clock_is_ahead_cancels_no_order_that_can_still_be_paid(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = place_order(shop)
    Payment.objects.update(state=PaymentState.EXPIRED)
    true_now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: true_now() + timedelta(hours=2))

    assert tasks.cancel_expired() == 0
    assert order.reload().status == OrderStatus.PENDING_PAYMENT


@pytest.mark.parametrize(
    ("sweep", "later", "after"),
    [
        (fulfilment.retry_waiting, timedelta(0), OrderStatus.PROVISIONING),
        (fulfilment.fail_overdue, timedelta(hours=25), OrderStatus.FAILED),
    ],
)
def test_an_order_whose_process_died_before_it_reserved_again_is_found_by_the_sweeps(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, sweep: Callable[..., int], later: timedelta, after: OrderStatus
) -> None:
    now, order = timezone.now(), place_order(shop)
    assert cancellation.cancel_unpaid(order=order, reason="not paid in time", at=now)
    monkeypatch.setattr(fulfilment, "retry_after_commit", lambda *_arguments, **_named: None)
    settle(order.invoice_id)
    assert (order.reload().status, Server.objects.count()) == (OrderStatus.PAID, 0)

    assert sweep(at=timezone.now() + later) == 1
    assert order.reload().status == after
    assert sweep(at=timezone.now() + later) == 0
