"""billing's Celery tasks."""

from collections.abc import Callable

from celery import shared_task

from billing import gateway_sync, renewals
from billing.gateways import base
from billing.gateways.reconciling import Reconciling
from billing.reconciliation import catch_up, sweep
from core import clock, work


@shared_task
def poll_open_payments() -> int:
    """Stop what the gateway still renews although it has ended here, and sync the open payments that are due."""
    renewals.stop_ended_renewals(at=clock.now())
    return gateway_sync.poll_open_payments(at=clock.now())


@shared_task
def catch_up_events() -> int:
    """Store the events that no webhook brought; the number of gateways that had some."""
    return _of_each_gateway(catch_up.catch_up_events, name="catching up")


@shared_task
def sweep_objects() -> int:
    """Compare subscriptions, refunds and disputes with our rows; the number of gateways with something unexplained."""
    return _of_each_gateway(sweep.sweep_objects, name="the sweep")


def _of_each_gateway(reconcile: Callable[..., int], *, name: str) -> int:
    """Every gateway that can be asked. One that is down is asked again next time."""
    return work.run_each(
        [gateway for gateway in base.registered() if isinstance(base.driver_of(gateway), Reconciling)],
        lambda gateway: reconcile(gateway=gateway, at=clock.now()),
        name=name,
    )
