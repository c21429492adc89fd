"""Events that no webhook brought: read from the gateway's list, and then processed like those that came."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from billing.gateways.base import driver_with
from billing.gateways.reconciling import ListedEvent, Reconciling
from billing.models import CursorType, GatewayEvent
from billing.reconciliation import cursors
from core import tenancy, work

log = logging.getLogger(__name__)
OVERLAP = timedelta(minutes=15)  # an event may appear in the list later than its instant, and clocks differ
WINDOW = timedelta(days=1)  # listed to its end before the cursor moves; a run that was killed repeats one window


def catch_up_events(*, gateway: str, at: datetime) -> int:
    """Store the events since the last one seen that never came; the number of them.

    Runs at once store each event once. Raises the errors of `outside`; what was stored until then stays.
    """
    driver = driver_with(gateway, Reconciling)
    seen_until = cursors.read_until(gateway, CursorType.EVENTS)
    if seen_until is None:
        return 0
    since = seen_until - OVERLAP
    oldest = at - driver.EVENTS_KEPT
    if since < oldest:
        log.error("%s lists no events before %s; those since %s are not known", gateway, oldest, since)
        since = oldest
    stored = 0
    while since <= at:
        listed = driver.list_events(since=since, until=since + WINDOW)
        stored += store_events(gateway, sorted(listed, key=lambda event: (event.created_at, event.event_id)), at)
        since += WINDOW
    return stored


def store_events(gateway: str, listed: Sequence[ListedEvent], at: datetime) -> int:
    """Store those that are not stored yet, oldest first, and move the cursor; the number of them."""
    if not listed:
        return 0
    with tenancy.as_worker():
        ids = [event.event_id for event in listed]
        known = set(GatewayEvent.objects.filter(gateway=gateway, event_id__in=ids).values_list("event_id", flat=True))
        missed = [
            GatewayEvent(
                gateway=gateway,
                event_id=event.event_id,
                type=event.type,
                payload=event.payload,
                received_at=at,
                run_at=min(event.created_at, at),  # the oldest is processed first
            )
            for event in listed
            if event.event_id not in known
        ]
        GatewayEvent.objects.bulk_create(missed, ignore_conflicts=True)
        cursors.move(gateway, CursorType.EVENTS, listed[-1].created_at)
        if missed:
            log.info("%s events of %s came by no webhook", len(missed), gateway)
            work.wake_worker(GatewayEvent)
    return len(missed)
