"""How a story about money ends: all that was lost arrives, and every audit holds."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.test import Client

from billing.ledger_audit import broken_rules
from billing.models import (
    AccountKind,
    LedgerAccount,
)
from billing.reconciliation import balance as balances
from billing.reconciliation import catch_up, sweep
from core import audit
from core.outside.limits import reset_limits
from sandbox.client import Sandbox
from tests import shop as shops
from tests.faults import ends
from tests.faults.purchase import dead_work
from tests.gateways.adapters import Tripay
from tests.shop import Clock, run_until_idle
from tests.threads import run_at_once


def at_once(*acts: Callable[[], object]) -> list[BaseException]:
    """Each act in a thread of its own, all beginning together; what they raised."""
    rest, lock = iter(acts), threading.Lock()

    def run() -> None:
        with lock:
            act = next(rest)
        act()

    return run_at_once(run, times=len(acts))


def post_all(sandbox: Sandbox, order: Callable[[list[Any]], list[Any]] = list) -> None:
    client = Client()
    for delivery in order(shops.signed_events(sandbox)):
        assert client.post(shops.WEBHOOK, **delivery).status_code == 200


def finish(clock: Clock, *, events: bool = True) -> None:
    """Everything arrives in the end, and the workers finish."""
    clock.sandbox.clear_faults()
    reset_limits()
    for _round in range(3):
        if events:
            catch_up.catch_up_events(gateway="stripe", at=clock.now)
        run_until_idle(clock, steps=20, step=timedelta(minutes=2))
        sweep.sweep_objects(gateway="stripe", at=clock.now)
        balances.book_balance_transactions(gateway="stripe", at=clock.now)
        clock.pass_by(sweep.GRACE)
        run_until_idle(clock, steps=20, step=timedelta(minutes=2))


def audit_all(sandbox: Sandbox) -> None:
    assert broken_rules() == {}
    assert audit.verify() == []
    assert dead_work() == {}
    ends.assert_clearing_is_what_stripe_holds(sandbox)
    ends.assert_disputes_end_as_at_stripe(sandbox)
    ends.assert_paid_orders_are_delivered()
    ends.assert_servers_run_while_paid(sandbox)
    ends.assert_nothing_is_charged_in_vain(sandbox)


def audit_tripay(tripay: Tripay) -> None:
    assert broken_rules() == {}
    assert audit.verify() == []
    assert dead_work() == {}
    accounts = LedgerAccount.objects.with_posted_minor().filter(kind=AccountKind.CLEARING)
    assert -sum(row.posted_minor for row in accounts) == tripay.held()  # type: ignore[attr-defined]
    ends.assert_paid_orders_are_delivered()
