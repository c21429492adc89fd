"""`renew` begins a pause once the paid period is over, and ends it on its day: the next period begins at that moment.

So nobody is stopped in a time that is paid, and no second of a pause is billed.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import F

from billing import events
from billing.models import Subscription, SubscriptionItem, SubscriptionPause, SubscriptionStatus, next_period_end
from billing.runs import batches
from core import bulk

WANTED = """
    FROM billing_subscription subscription
    WHERE subscription.pauses_until IS NOT NULL AND NOT subscription.cancels_at_period_end"""
# While a later period is billed, its invoice is withdrawn before, or money for it is on its way: then `HELD`.
BEGINS = """subscription.status <> 'paused' AND subscription.current_period_end <= %(at)s
        AND NOT EXISTS (SELECT FROM billing_invoiceitem billed WHERE billed.subscription_id = subscription.id
            AND billed.kind IN ('plan', 'addon') AND NOT billed.is_void
            AND billed.period_end > subscription.current_period_end)"""
# Nothing that is open for a later period lets the server run on unpaid. The money that comes lifts the hold.
HELD = "subscription.status IN ('active', 'past_due') AND subscription.current_period_end <= %(at)s"
# One that never began, because money for a later period came in time, is over as well.
ENDS = """subscription.pauses_until <= %(at)s
        AND (subscription.status = 'paused' OR subscription.current_period_end > %(at)s)"""
DUE = f"{WANTED} AND ({BEGINS} OR {HELD} OR {ENDS})"
# A pause bills nothing: unlike `batches.NOTE` it counts no amount.
NOTE = """INSERT INTO billing_fact SELECT %(what)s, organization_id, label, %(at)s, 0, currency
    FROM billing_subscription WHERE id = ANY (%(ids)s)"""


def perform(of_range: str, params: Mapping[str, Any], at: datetime) -> None:
    """Begin and end what is due in the range; the caller holds the subscriptions' locks."""
    begun = batches.ids(f"SELECT subscription.id {WANTED} AND {BEGINS}{of_range}", params)
    begin(begun, at)
    held = batches.ids(f"SELECT subscription.id {WANTED} AND {HELD}{of_range}", params)
    Subscription.objects.filter(pk__in=held).update(status=SubscriptionStatus.SUSPENDED)
    ended = batches.ids(f"SELECT subscription.id {WANTED} AND {ENDS}{of_range}", params)
    end(ended, at)
    if begun:
        events.subscriptions_paused.send(Subscription, subscription_ids=begun, at=at)
    if held:
        events.subscriptions_suspended.send(
            Subscription, subscription_ids=held, reason="pauses, and is not paid", at=at
        )
    for what, ids in (("pause", begun), ("suspension", held), ("end of pause", ended)):
        if ids:
            batches.execute(NOTE, {"what": what, "ids": ids, "at": at})


def begin(subscription_ids: Collection[UUID], at: datetime) -> None:
    """Their paid period is over: the time from its end on is a pause."""
    rows = Subscription.objects.filter(pk__in=subscription_ids)
    SubscriptionPause.objects.bulk_create(
        SubscriptionPause(
            subscription=row, organization_id=row.organization_id, begun_at=row.current_period_end or at, created_at=at
        )
        for row in rows.order_by("pk")
    )
    rows.update(status=SubscriptionStatus.PAUSED)


def end(subscription_ids: Collection[UUID], at: datetime) -> None:
    """Their next period begins now, and is to be paid before their servers start again.

    It is the present one that ends now, so that whatever comes next in it (`renew`, a price campaign, a discount's last
    period) counts from here. Where the pause never began, nothing else changes. The caller holds the rows' locks.
    """
    rows = Subscription.objects.filter(pk__in=subscription_ids)
    rows.exclude(status=SubscriptionStatus.PAUSED).update(pauses_until=None)
    paused = list(rows.filter(status=SubscriptionStatus.PAUSED))
    if paused:
        move_discounts(paused, at)
        ids = [row.pk for row in paused]
        Subscription.objects.filter(pk__in=ids).update(
            status=SubscriptionStatus.SUSPENDED,
            pauses_until=None,
            current_period_end=at,
            anchor_day=at.astimezone(UTC).day,
        )
        SubscriptionPause.objects.filter(subscription__in=ids, ended_at=None).update(ended_at=at)
        events.subscriptions_resumed.send(Subscription, subscription_ids=ids, at=at)


def move_discounts(paused: Collection[Subscription], at: datetime) -> None:
    """A discount for a number of periods is valid for as many as before, now that the next one begins at `at`."""
    by_id = {row.pk: row for row in paused}
    lasting = SubscriptionItem.objects.filter(
        subscription__in=by_id, valid_until__gt=F("subscription__current_period_end")
    )
    items = list(lasting)
    for item in items:
        row = by_id[item.subscription_id]
        planned, moved = row.current_period_end, at
        while item.valid_until and planned and planned < item.valid_until:
            planned = next_period_end(planned, row.term, row.anchor_day or planned.day)
            moved = next_period_end(moved, row.term, at.astimezone(UTC).day)
        item.valid_until = moved
    bulk.update_rows(items, ["valid_until"])
