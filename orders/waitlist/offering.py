"""Reserving for those who wait: the first of each line gets what comes free, for a set time."""

from datetime import datetime, timedelta
from uuid import UUID

from catalog import services as catalog
from core import site_settings, tenancy, work
from orders import events, placement
from orders.waitlist import entries
from orders.waitlist.models import WaitlistEntry, WaitlistStatus
from servers import capacity


def advance(*, at: datetime) -> int:
    """End what was not ordered in time, then reserve for the first of each line; for how many.

    Each line gets one at a time, so that a popular plan does not take all that comes free. May run twice at once.
    """
    overdue = WaitlistEntry.objects.filter(status=WaitlistStatus.OFFERED, expires_at__lte=at).order_by("expires_at")
    work.run_each(list(overdue.values_list("pk", flat=True)), lambda pk: expire(pk, at), name="waitlist expiry")
    waiting = WaitlistEntry.objects.filter(
        status=WaitlistStatus.WAITING, plan__is_active=True, plan__product__is_active=True
    )
    lines = list(waiting.order_by("plan__memory_mib").values_list("plan_id", "region_id").distinct())
    return work.run_each(lines, lambda line: offer_first(*line, at=at), name="waitlist")


def offer_first(plan_id: UUID, region_id: UUID, *, at: datetime) -> bool:
    """Reserve for the first who waits for the plan in the region, and tell them; False where there is no capacity.

    The one transaction locks the entry, then stock and node: of two who offer at once the second finds the next entry.
    """
    rows = WaitlistEntry.objects.filter(plan=plan_id, region=region_id, status=WaitlistStatus.WAITING)
    joined = ("organization", "plan__product", "region")
    try:
        with tenancy.as_worker():
            first = rows.select_related(*joined).select_for_update(of=("self",), no_key=True).first()
            if first is None:
                return False
            expires_at = at + timedelta(hours=site_settings.get("orders.waitlist_hours"))
            first.is_stock_taken = catalog.take_stock(plan_id=plan_id)
            first.reservation = placement.reserve_item(
                organization=first.organization,
                plan=first.plan,
                image=None,
                addons=(),
                region=first.region,
                at=at,
                expires_at=expires_at,
            )
            first.transition_to(WaitlistStatus.OFFERED)
            first.offered_at, first.expires_at = at, expires_at
            first.save(update_fields=["status", "is_stock_taken", "reservation", "offered_at", "expires_at"])
            events.waitlist_offered.send(WaitlistEntry, entry_ids=[first.pk], at=at)
    except (capacity.InsufficientCapacity, catalog.SoldOut):
        return False
    return True


def expire(entry_id: UUID, at: datetime) -> bool:
    """End an offer that nobody took; False where an order took it, or it was left, just now."""
    due = WaitlistEntry.objects.filter(pk=entry_id, status=WaitlistStatus.OFFERED, expires_at__lte=at)
    with tenancy.as_worker():
        entry = due.select_for_update(no_key=True).first()
        if entry is not None:
            entries.end(entry, WaitlistStatus.EXPIRED, at)
    return entry is not None
