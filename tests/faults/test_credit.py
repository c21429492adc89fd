"""The process is really killed at each point of an order that uses credit and is not paid: the credit returns once."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from billing import credit
from billing.ledger_audit import broken_rules
from billing.models import AccountKind, EntryKind, JournalEntry, LedgerAccount
from core.outside import OutsideError
from orders import cancellation, paying
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from tests import shop as shops
from tests.billing.sales import accept, make_sale, usd
from tests.faults import forks
from tests.faults.purchase import RESTART_AFTER
from tests.shop import Clock, Shop

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("_warm_caches")]
CREDIT, MAX_POINTS = 300, 60

type End = Callable[[Shop, Order, Clock], object]


def cancel(shop: Shop, order: Order, clock: Clock) -> None:
    """The customer cancels while the payment page is open."""
    cancellation.cancel_unpaid(order=order, reason="changed my mind", actor=shop.customer, at=clock.now)


def let_expire(_shop: Shop, _order: Order, clock: Clock) -> None:
    """Nobody pays in time."""
    clock.pass_by(timedelta(hours=3))


def begin_and_end(shop: Shop, order: Order, end: End, after: timedelta) -> None:
    """The customer goes to the payment page and does not pay there; the workers do what is left to do."""
    here = replace(shop, sandbox=Sandbox(shop.sandbox.base_url, shop.sandbox.smtp_port))
    clock = Clock(here.sandbox, order.placed_at + after)
    here.sandbox.set_clock(clock.now.timestamp())
    if order.reload().status == OrderStatus.PENDING_PAYMENT:
        payment = paying.reopen_payment(order=order, at=clock.now)
        credit.use_credit(payment=payment, at_most=payment.amount, at=clock.now)
        with suppress(OutsideError):  # refused, or closed since
            shops.create_session(order, at=clock.now)
        end(here, order, clock)
    shops.run_until_idle(clock)


@pytest.mark.parametrize(("end", "is_refused"), [(cancel, False), (cancel, True), (let_expire, True)])
def test_killed_anywhere_an_order_that_is_not_paid_returns_its_credit_once(
    shop: Shop, end: End, is_refused: bool
) -> None:
    accept(make_sale(minor=9900, organization=shop.organization, at=timezone.now()).settle(amount=usd(CREDIT)))
    shops.allow_unpaid_orders()
    for number in range(1, MAX_POINTS):
        order = shops.place_order(shop, uses_credit=True)
        if is_refused:
            shop.sandbox.arm("stripe", "POST /v1/checkout/sessions", "status", status=400)
        exited = forks.run_and_kill_after(number, partial(begin_and_end, shop, order, end, timedelta(0)))
        again = forks.run(partial(begin_and_end, shop, order, end, RESTART_AFTER))

        assert again.status == 0, again.output
        assert order.reload().status == OrderStatus.CANCELED
        held = dict(LedgerAccount.objects.filter(organization=shop.organization).values_list("kind", "balance_minor"))
        assert (held[AccountKind.WALLET], held[AccountKind.RESERVED_CREDIT]) == (CREDIT, 0)
        entries = JournalEntry.objects.filter(payment__invoice=order.invoice_id)
        reserved, released = (
            entries.filter(kind=kind).count() for kind in (EntryKind.CREDIT_RESERVED, EntryKind.CREDIT_RELEASED)
        )
        assert reserved == released > 0
        assert broken_rules() == {}
        if not exited.was_killed:
            return
    pytest.fail(f"more than {MAX_POINTS} points")
