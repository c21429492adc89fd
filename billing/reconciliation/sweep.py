"""A gateway's subscriptions, refunds and disputes are compared with our rows, whether or not an event came."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import batched, chain

from billing import unexplained
from billing.gateway_sync import SYNC
from billing.gateways.base import ObjectType, account_with_code, driver_with
from billing.gateways.reconciling import ListedObject, Reconciling
from billing.models import (
    CursorType,
    Dispute,
    EventResult,
    GatewayCustomer,
    GatewaySubscription,
    Refund,
    UnexplainedItem,
)
from billing.reconciliation import cursors
from core import outside, work

log = logging.getLogger(__name__)
GRACE = timedelta(hours=1)  # the event of what is younger may still be on its way
BATCH = 100
SWEPT = (ObjectType.SUBSCRIPTION, ObjectType.REFUND, ObjectType.DISPUTE)


def sweep_objects(*, gateway: str, at: datetime) -> int:
    """Make our rows agree with what no event reported; what concerns a customer of ours and has no row is unexplained.

    Returns how many items are open. Safe to repeat and to run twice at once. Raises the errors of `outside`.
    """
    driver = driver_with(gateway, Reconciling)
    since = cursors.read_until(gateway, CursorType.OBJECTS)
    if since is not None:
        since -= 2 * GRACE  # what was too young in the last run is old enough now
        charged: set[str] = set()
        created = chain(driver.list_refunds(since=since), driver.list_disputes(since=since))
        for batch in batched(chain(driver.list_subscriptions(), created), BATCH):
            charged.update(each.ref.id for each in batch if each.ref.type is ObjectType.SUBSCRIPTION)
            _compare(gateway, batch, at)
        # Subscriptions that the gateway should charge by our rows, and does not.
        running = GatewaySubscription.objects.filter(gateway=gateway, ended_at__isnull=True)
        for reference in set(running.values_list("reference", flat=True)) - charged:
            note = _sync(gateway, ObjectType.SUBSCRIPTION, reference, at)
            if note:
                log.warning("subscription %s of %s could not be synced: %s", reference, gateway, note)
        # What is open is synced again, and closed where a row accounts for it by now.
        open_items = UnexplainedItem.objects.filter(gateway=gateway, resolved_at__isnull=True, type__in=SWEPT)
        for item in open_items.order_by("-created_at")[:BATCH]:
            if not _sync(gateway, ObjectType(item.type), item.reference, at):
                unexplained.resolve(item=item, reason=unexplained.FOUND_LATER, actor=gateway, at=at)
        cursors.move(gateway, CursorType.OBJECTS, at)
    return UnexplainedItem.objects.filter(gateway=gateway, resolved_at__isnull=True).count()


def _compare(gateway: str, batch: Sequence[ListedObject], at: datetime) -> None:
    """Sync what has no row although it concerns a customer of ours; what has none then is unexplained."""
    customers = GatewayCustomer.objects.filter(gateway=gateway, reference__in={each.customer for each in batch})
    ours = set(customers.values_list("reference", flat=True))
    listed: dict[ObjectType, list[str]] = {object_type: [] for object_type in SWEPT}
    for each in batch:
        listed[each.ref.type].append(each.ref.id)
    subscriptions = GatewaySubscription.objects.filter(reference__in=listed[ObjectType.SUBSCRIPTION], gateway=gateway)
    refunds = Refund.objects.filter(transaction_id__in=listed[ObjectType.REFUND], payment__gateway=gateway)
    disputes = Dispute.objects.filter(reference__in=listed[ObjectType.DISPUTE], payment__gateway=gateway)
    known: dict[ObjectType, set[str | None]] = {
        ObjectType.SUBSCRIPTION: set(subscriptions.values_list("reference", flat=True)),
        ObjectType.REFUND: set(refunds.values_list("transaction_id", flat=True)),
        ObjectType.DISPUTE: set(disputes.values_list("reference", flat=True)),
    }
    for each in batch:
        is_ours = each.customer in ours
        if is_ours and each.ref.id not in known[each.ref.type] and each.created_at <= at - GRACE:
            note = _sync(gateway, each.ref.type, each.ref.id, at)
            if note:
                unexplained.record_unexplained(gateway=gateway, listed=each, note=note)


def _sync(gateway: str, object_type: ObjectType, reference: str, at: datetime) -> str:
    """Why no row of ours follows the object after it was synced; empty when one does, or none is needed."""
    try:
        result, _note = SYNC[object_type](account_with_code(gateway), reference, at)
    except outside.OutsideError as error:
        return str(error)
    except Exception as error:  # our fault with one object does not stop the sweep, and staff see it
        log.exception("%s %s of %s could not be synced", object_type, reference, gateway)
        return work.describe(error)
    return "nothing here belongs to it" if result is EventResult.UNRELATED else ""
