"""billing's Celery tasks."""

from collections.abc import Callable

from celery import shared_task

from billing import auto_top_ups, ledger_audit, payment_methods, payment_sync, price_campaigns, subscriptions
from billing.gateways.base import driver_of
from billing.gateways.reconciling import Reconciling
from billing.models import GatewayAccount, RunKind
from billing.reconciliation import balance, catch_up, held, sweep
from billing.runs import runner
from core import clock, work


@shared_task
def poll_open_payments() -> int:
    """Sync the open payments that are due."""
    return payment_sync.poll_open_payments(at=clock.now())


@shared_task
def bill() -> dict[str, str]:
    """Every kind of run, in the order in which they are due on a day; how each ended."""
    return {kind: str(runner.execute(kind, at=clock.now()).state) for kind in runner.STEPS}


@shared_task
def meter() -> str:
    """Charge the hours that are due, and let go on what can be paid again; how it ended."""
    return str(runner.execute(RunKind.METER, at=clock.now()).state)


@shared_task
def top_up_wallets() -> int:
    """Charge the saved cards of those whose credit is below their limit; how many."""
    return auto_top_ups.request_due(at=clock.now())


@shared_task
def end_subscriptions() -> int:
    """End the canceled subscriptions whose period is over."""
    return subscriptions.end_due(at=clock.now())


@shared_task
def warn_of_expiring_cards() -> int:
    """Tell the owners of cards that expire soon, once for each month."""
    return payment_methods.warn_of_expiry(at=clock.now())


@shared_task
def announce_prices() -> int:
    """Tell the customers of announced campaigns when their price changes."""
    return price_campaigns.tell_due(at=clock.now())


@shared_task
def catch_up_events() -> int:
    """Store the events that no webhook brought; the number of gateways that had some."""
    return _of_each_gateway(catch_up.catch_up_events, name="catching up")


@shared_task
def sweep_objects() -> int:
    """Compare subscriptions, refunds and disputes with our rows; the number of gateways with something unexplained."""
    return _of_each_gateway(sweep.sweep_objects, name="the sweep")


@shared_task
def book_balance_transactions() -> int:
    """Book fees, payouts and exchange; the number of gateways that had some."""
    return _of_each_gateway(balance.book_balance_transactions, name="booking the balance")


@shared_task
def compare_balances() -> int:
    """Compare what gateways hold with our books; the number of gateways where it differs."""
    return _of_each_gateway(held.compare_balances, name="comparing balances")


@shared_task
def audit_ledger() -> int:
    """Check every rule over the whole book; how many rows break one."""
    return ledger_audit.audit_ledger(at=clock.now()).broken_count


def _of_each_gateway(reconcile: Callable[..., int], *, name: str) -> int:
    """Every gateway that can be asked. One that is down is asked again next time."""
    codes = GatewayAccount.objects.values_list("code", flat=True)
    return work.run_each(
        [code for code in codes if isinstance(driver_of(code), Reconciling)],
        lambda gateway: reconcile(gateway=gateway, at=clock.now()),
        name=name,
    )
