"""A paid order whose server never runs: staff see it a set time after the payment, and then the money goes back."""

from datetime import timedelta

import pytest
import requests

from billing.models import Invoice, InvoiceState
from catalog.models import Plan
from orders import cancellation, fulfilment
from orders.models import Order, OrderStatus
from servers.models import Server, ServerStatus
from tests.servers.actions import control
from tests.shop import Clock, Shop, create_session, deliver_webhooks, panel_servers, place_order, run_once

HOUR = timedelta(hours=1)


def pay(shop: Shop, clock: Clock) -> Order:
    """An order that is paid while the panel keeps answering 409 for its server, as in a restore without an end."""
    shop.sandbox.arm("pterodactyl", "GET /api/client/servers/*/resources", "status", status=409, times=0)
    order = place_order(shop, at=clock.now)
    shop.sandbox.pay(create_session(order, at=clock.now))
    deliver_webhooks(shop.sandbox)
    for _ in range(6):
        run_once(clock.pass_by())
    assert (order.reload().status, Server.objects.get().status) == (OrderStatus.PROVISIONING, ServerStatus.INSTALLING)
    return order


def test_an_order_that_waits_for_ever_fails_a_day_after_its_payment_and_is_refunded(shop: Shop, clock: Clock) -> None:
    order = pay(shop, clock)
    assert fulfilment.fail_overdue(at=clock.now + 23 * HOUR) == 0

    assert fulfilment.fail_overdue(at=clock.now + 24 * HOUR) == 1

    order = order.reload()
    assert (order.status, order.refund_due_at) == (OrderStatus.FAILED, clock.now + (24 + 72) * HOUR)
    clock.pass_by(97 * HOUR)
    assert cancellation.refund_overdue(at=clock.now) == 1
    for _ in range(4):
        run_once(clock.pass_by())
    assert order.reload().status == OrderStatus.CANCELED
    assert Invoice.objects.get(order=order).state == InvoiceState.REFUNDED
    assert panel_servers(shop.sandbox) == []


def test_an_order_whose_server_runs_after_the_deadline_is_active_and_keeps_its_money(shop: Shop, clock: Clock) -> None:
    order = pay(shop, clock)
    clock.pass_by(25 * HOUR)
    assert fulfilment.fail_overdue(at=clock.now) == 1
    shop.sandbox.clear_faults()

    for _ in range(6):
        run_once(clock.pass_by(timedelta(seconds=30)))

    order = order.reload()
    assert (order.status, order.refund_due_at) == (OrderStatus.ACTIVE, None)
    assert cancellation.refund_overdue(at=clock.now + 100 * HOUR) == 0


def restore_a_backup(shop: Shop, clock: Clock, *, seconds: int) -> None:
    """An admin of the panel restores a backup of the only server there, which takes so long."""
    keys = shop.sandbox.panel_keys()
    headers = {"Authorization": f"Bearer {keys['client']}", "Accept": "application/json"}
    backups = f"{keys['url']}/api/client/servers/{Server.objects.get().identifier}/backups"
    made = requests.post(backups, headers=headers, json={}, timeout=10).json()
    clock.pass_by(timedelta(minutes=5))
    control(shop.sandbox, "settings", {"restore_seconds": seconds})
    restored = f"{backups}/{made['attributes']['uuid']}/restore"
    assert requests.post(restored, headers=headers, json={"truncate": False}, timeout=10).status_code == 204
    assert [each["status"] for each in panel_servers(shop.sandbox)] == ["restoring_backup"]


@pytest.mark.parametrize("days", [2, 1000])
def test_an_order_whose_server_is_being_restored_has_the_same_deadline(shop: Shop, clock: Clock, days: int) -> None:
    Plan.objects.update(backups=1)
    order = pay(shop, clock)
    restore_a_backup(shop, clock, seconds=days * 24 * 3600)
    shop.sandbox.clear_faults()
    for _ in range(3):
        run_once(clock.pass_by(timedelta(minutes=1)))
    assert order.reload().status == OrderStatus.PROVISIONING

    clock.pass_by(24 * HOUR)
    run_once(clock.now)
    order = order.reload()
    assert (order.status, order.refund_due_at) == (OrderStatus.FAILED, clock.now + 72 * HOUR)
    clock.pass_by(71 * HOUR)
    for _ in range(6):
        run_once(clock.pass_by(timedelta(minutes=2)))
    is_over = days == 2
    assert order.reload().status == (OrderStatus.ACTIVE if is_over else OrderStatus.FAILED)
    clock.pass_by(HOUR)
    for _ in range(6):
        run_once(clock.pass_by(timedelta(minutes=2)))

    assert order.reload().status == (OrderStatus.ACTIVE if is_over else OrderStatus.CANCELED)
    assert Invoice.objects.get(order=order).state == (InvoiceState.PAID if is_over else InvoiceState.REFUNDED)
    assert len(panel_servers(shop.sandbox)) == is_over
