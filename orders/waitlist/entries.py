"""The waitlist: joining and leaving it, who is before whom, and what is reserved for whom."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import ngettext

from accounts.models import Organization, User
from catalog import services as catalog
from catalog.models import Addon, Image, Plan
from core import audit, site_settings, tenancy
from orders import limits
from orders.quote import server_limits
from orders.waitlist.models import OPEN, WaitlistEntry, WaitlistStatus
from servers import capacity
from servers import queries as servers
from servers.models import Region, Reservation, ReservationState


class TooManyEntries(Exception):
    """The organization or the user waits for as much as they may already; the text says so."""


class NoLongerReserved(Exception):
    """What was reserved for whoever waited is for the next by now."""

    def __init__(self, reservation_id: UUID) -> None:
        super().__init__(f"reservation {reservation_id}")
        self.reservation_id = reservation_id


def join(*, organization: Organization, plan: Plan, region: Region, actor: User, at: datetime) -> WaitlistEntry:
    """Wait for the plan in the region; the entry that it is. Joining twice is one entry. Raises TooManyEntries.

    What is reserved for who waits is kept from others for nothing, so as much is allowed as of unpaid orders.
    """
    with tenancy.as_worker(organization):
        limits.lock_keys([f"waitlist:{organization.pk}", f"waitlist:{actor.pk}"])
        found = WaitlistEntry.objects.filter(
            status__in=OPEN, organization=organization, plan=plan, region=region
        ).first()
        if found is not None:
            return found
        kind = "of_new_customer" if limits.is_new(organization) else "per_organization"
        most = site_settings.get(f"orders.max_unpaid_{kind}")
        # What was reserved for them and not ordered counts for a day, also where they gave it up just before its time
        # was over: else they would keep it from others for ever.
        given_up = Q(status=WaitlistStatus.LEFT, plan=plan, region=region)
        unused = (Q(status=WaitlistStatus.EXPIRED) | given_up) & Q(expires_at__gt=at - timedelta(days=1))
        rows = WaitlistEntry.objects.filter(Q(status__in=OPEN) | unused)
        if rows.filter(Q(organization=organization) | Q(joined_by=actor)).count() >= most:
            text = ngettext(
                "You can be on %(count)s waitlist at a time. Leave the other one first.",
                "You can be on %(count)s waitlists at a time. Leave one of them first.",
                most,
            )
            raise TooManyEntries(text % {"count": most})
        entry = WaitlistEntry.objects.create(
            organization=organization, joined_by=actor, plan=plan, region=region, joined_at=at
        )
        new = {"plan": plan.code, "region": region.code}
        audit.record(action="waitlist.join", entity=entry, actor=actor, new=new, at=at)
    return entry


def leave(*, entry: WaitlistEntry, actor: User, at: datetime) -> None:
    """Give up the place in the line, and what is reserved for it. Leaving twice is harmless."""
    with tenancy.as_worker(entry):
        locked = WaitlistEntry.objects.select_for_update(no_key=True).get(pk=entry.pk)
        if locked.status in OPEN:
            end(locked, WaitlistStatus.LEFT, at)
            audit.record(action="waitlist.leave", entity=locked, actor=actor, at=at)


def end(entry: WaitlistEntry, status: WaitlistStatus, at: datetime) -> None:
    """The locked entry is over: what was reserved for it is for the next."""
    entry.transition_to(status)
    if entry.is_stock_taken:
        catalog.return_stock(plan_id=entry.plan_id)
        entry.is_stock_taken = False
    entry.save(update_fields=["status", "is_stock_taken"])
    if entry.reservation_id is not None:
        capacity.release(reservation_ids=[entry.reservation_id], at=at)


def positions(entries: Iterable[WaitlistEntry]) -> dict[UUID, int]:
    """The place of each waiting entry in its line, from 1 on, by its id."""
    before = Q(joined_at__lt=OuterRef("joined_at")) | Q(joined_at=OuterRef("joined_at"), pk__lt=OuterRef("pk"))
    line = WaitlistEntry.objects.filter(
        before, plan=OuterRef("plan"), region=OuterRef("region"), status=WaitlistStatus.WAITING
    )
    ahead = line.order_by().values("plan").annotate(count=Count("pk")).values("count")
    rows = WaitlistEntry.objects.filter(pk__in=[entry.pk for entry in entries], status=WaitlistStatus.WAITING)
    with tenancy.as_worker_without_row():
        return dict(rows.annotate(position=Coalesce(Subquery(ahead), 0) + 1).values_list("pk", "position"))


def taken_up(
    plans: Collection[Plan], organization: Organization | None
) -> tuple[set[tuple[UUID, UUID]], set[tuple[UUID, UUID]]]:
    """Which of the plans somebody waits for, with the region, and which are reserved for the organization.

    What comes free of the first is for those who wait.
    """
    waiting, offered = Q(status=WaitlistStatus.WAITING), Q(status=WaitlistStatus.OFFERED, organization=organization)
    rows = WaitlistEntry.objects.filter(waiting | offered, plan__in=plans).order_by()
    with tenancy.as_worker_without_row():
        found = set(rows.values_list("status", "plan_id", "region_id").distinct())
    return (
        {(plan, region) for status, plan, region in found if status == WaitlistStatus.WAITING},
        {(plan, region) for status, plan, region in found if status == WaitlistStatus.OFFERED},
    )


def reserved_for(
    *,
    organization: Organization,
    plan: Plan,
    image: Image | None,
    addons: Sequence[Addon],
    region: Region,
    others: Sequence[Reservation],
    expires_at: datetime,
) -> Reservation | None:
    """What the waitlist reserved for the organization, kept until `expires_at` at least; None where it does not suit.

    It fits where it is of the size with these add-ons, has the image, and is none of the `others`.
    """
    size = server_limits(plan, addons).size
    fits = Reservation.objects.filter(
        waitlist_entry__status=WaitlistStatus.OFFERED,
        waitlist_entry__plan=plan,
        waitlist_entry__region=region,
        organization=organization,
        blueprint__in=[row.pk for row in servers.blueprints_of_plan(plan, image)],
        memory_mib=size.memory_mib,
        disk_mib=size.disk_mib,
        cpu_percent=size.cpu_percent,
        ports=size.ports,
    )
    with tenancy.as_worker(organization):
        found = fits.exclude(pk__in=[row.pk for row in others]).select_related("blueprint").first()
        if found is None or not capacity.extend(reservation_id=found.pk, expires_at=expires_at):
            return None
    return found


def take(reservations: Sequence[Reservation]) -> dict[UUID, bool]:
    """An order takes these reservations. Of those that the waitlist had made, by their ids, whether stock is with them.

    Raises NoLongerReserved where one of them was for somebody else in the meantime.
    """
    rows = WaitlistEntry.objects.filter(reservation__in=reservations).order_by("pk")
    taken: dict[UUID, bool] = {}
    for entry in rows.select_for_update(no_key=True):
        if entry.reservation_id is None:
            continue
        if entry.status != WaitlistStatus.OFFERED:
            raise NoLongerReserved(entry.reservation_id)
        taken[entry.reservation_id] = entry.is_stock_taken
        entry.transition_to(WaitlistStatus.ORDERED)
        entry.is_stock_taken = False
        entry.save(update_fields=["status", "is_stock_taken"])
    return taken


def take_back(stock_taken: dict[UUID, bool], *, at: datetime) -> set[UUID]:
    """An order that is canceled had taken these reservations, some with stock: those that are the waitlist's again.

    They are until their time is over, so that whoever orders something else meanwhile does not lose what they waited
    for.
    """
    rows = WaitlistEntry.objects.filter(reservation__in=stock_taken, status=WaitlistStatus.ORDERED, expires_at__gt=at)
    again = WaitlistEntry.objects.filter(
        status__in=OPEN, organization=OuterRef("organization"), plan=OuterRef("plan"), region=OuterRef("region")
    )
    rows = rows.filter(~Exists(again), reservation__state=ReservationState.RESERVED)  # it joined again meanwhile
    kept: set[UUID] = set()
    for entry in rows.order_by("pk").select_for_update(of=("self",), no_key=True):
        if entry.reservation_id is not None:
            entry.transition_to(WaitlistStatus.OFFERED)
            entry.is_stock_taken = stock_taken[entry.reservation_id]
            entry.save(update_fields=["status", "is_stock_taken"])
            kept.add(entry.reservation_id)
    return kept


def not_of_waitlist(reservations: Sequence[Reservation]) -> list[Reservation]:
    """Those that the waitlist did not make. What it made is kept, or is another order's by now: a second tab's."""
    held = WaitlistEntry.objects.filter(reservation__in=reservations)
    with tenancy.as_worker(*reservations):
        kept = set(held.values_list("reservation_id", flat=True))
    return [row for row in reservations if row.pk not in kept]
