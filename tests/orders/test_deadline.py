"""A paid order whose server never runs: staff see it a set time after the payment, and then the money goes back."""

from datetime import timedelta

from billing.models import Invoice, InvoiceState
from orders import cancellation, fulfilment
from orders.models import Order, OrderStatus
from servers.models import Server, ServerStatus
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
