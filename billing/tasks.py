"""billing's Celery tasks."""

import logging

from celery import shared_task
from django.utils import timezone

from billing import gateway_sync, renewals
from billing.gateways import base
from billing.gateways.reconciling import Reconciling
from billing.reconciliation import catch_up
from core import outside

log = logging.getLogger(__name__)


@shared_task
def poll_open_payments() -> int:
    """Stop what the gateway still renews although it has ended here, and sync the open payments that are due."""
    renewals.stop_ended_renewals(at=timezone.now())
    return gateway_sync.poll_open_payments(at=timezone.now())


@shared_task
def catch_up_events() -> int:
    """Store the events that no webhook brought; the number of them. A gateway that is down is asked again next time."""
    stored = 0
    for gateway in base.registered():
        if isinstance(base.driver_of(gateway), Reconciling):
            try:
                stored += catch_up.catch_up_events(gateway=gateway, at=timezone.now())
            except outside.OutsideError as error:
                log.warning("the events of %s could not be listed: %s", gateway, error)
    return stored
