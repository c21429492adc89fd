"""Room on nodes: held when checkout starts, kept once paid, given back exactly once.

The locking rule: a node's row before its allocations; never two nodes at a time; a reservation before its node.
Several holds in one transaction keep several nodes, so make them one transaction each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import Greatest

from accounts.models import Organization
from core import tenancy
from servers.availability import Size, availability, nodes_with_room
from servers.models import Allocation, Blueprint, Location, Node, Reservation, ReservationState

__all__ = [
    "InsufficientCapacity",
    "NoFreePort",
    "Size",
    "availability",
    "confirm",
    "expire_due",
    "release",
    "replace_port",
    "reserve",
]
FREE = Q(reservation__isnull=True, is_taken_elsewhere=False, is_present=True)
EXPIRED_AT_ONCE = 500
type Pick = Callable[[QuerySet[Allocation], int], list[UUID]]


class InsufficientCapacity(Exception):
    """No node of the location can take a server of this size now."""


class NoFreePort(InsufficientCapacity):
    """The node of a kept reservation has no other free port."""


@dataclass(frozen=True)
class ReservationRequest:
    organization: Organization
    size: Size
    expires_at: datetime


def reserve(
    *,
    organization: Organization,
    blueprint: Blueprint,
    location: Location,
    size: Size,
    at: datetime,
    expires_at: datetime,
) -> Reservation:
    """Reserve capacity for one server until `expires_at`. Raises InsufficientCapacity when no node has enough."""
    if expires_at <= at:
        raise ValueError("a hold must expire in the future")
    wish = ReservationRequest(organization, size, expires_at)
    pick = _ports_nobody_locks
    with tenancy.as_worker():
        while nodes := list(nodes_with_room(blueprint, location, size).values_list("pk", flat=True)):
            for node in _unlocked_first(nodes):
                if reservation := _take(node, wish, pick):
                    return reservation
            pick = _ports_waited_for  # what looked free may be locked by a sync: wait rather than spin
    raise InsufficientCapacity(
        f"{location.code} has no room for {size.memory_mib} MiB, {size.disk_mib} MiB and {size.ports} port(s)"
    )


def _unlocked_first(nodes: list[UUID]) -> Iterator[UUID]:
    """The nodes in order, but first the best that nobody is changing right now: waiting is only for want of better."""
    if len(nodes) == 1:
        yield from nodes
        return
    with transaction.atomic():
        rows = Node.objects.select_for_update(skip_locked=True, no_key=True).filter(pk__in=nodes)
        free = (F("memory_sellable_mib") - F("memory_reserved_mib"), F("disk_sellable_mib") - F("disk_reserved_mib"))
        best = rows.order_by(*free, "pk").values_list("pk", flat=True).first()
        transaction.set_rollback(True)  # only a look, at one row so as not to be in the way: the lock goes with it
    yield from sorted(nodes, key=lambda node: node != best)


def _take(node_id: UUID, wish: ReservationRequest, pick: Pick) -> Reservation | None:
    """Room on this node, or None with nothing taken and no lock kept."""
    size = wish.size
    with transaction.atomic():
        room = Q(memory_reserved_mib__lte=F("memory_sellable_mib") - size.memory_mib)
        room &= Q(disk_reserved_mib__lte=F("disk_sellable_mib") - size.disk_mib)
        took = (
            _sellable()
            .filter(room, pk=node_id)
            .update(
                memory_reserved_mib=F("memory_reserved_mib") + size.memory_mib,
                disk_reserved_mib=F("disk_reserved_mib") + size.disk_mib,
            )
        )
        ports = pick(_free_ports(node_id, size.ports), size.ports) if took else []
        if len(ports) == size.ports:
            return _reserve(node_id, wish, ports)
        transaction.set_rollback(True)
    return None


def _sellable() -> QuerySet[Node]:
    return Node.objects.filter(is_enabled=True, is_present=True, is_draining=False, is_in_maintenance=False)


def _free_ports(node_id: UUID, count: int) -> QuerySet[Allocation]:
    """Free ports of a node whose row the caller has locked; those of one address first where it has enough."""
    free = Allocation.objects.filter(FREE, node_id=node_id)
    if count > 1 and (ip := _roomiest_ip(free, count)):
        return free.order_by(Case(When(ip=ip, then=Value(0)), default=Value(1)), "port", "ip")
    return free.order_by("port", "ip")


def _ports_nobody_locks(free: QuerySet[Allocation], count: int) -> list[UUID]:
    return [port.pk for port in free.select_for_update(skip_locked=True)[:count]]


def _ports_waited_for(free: QuerySet[Allocation], count: int) -> list[UUID]:
    return [port.pk for port in free.select_for_update()[:count]]


def _roomiest_ip(free: QuerySet[Allocation], count: int) -> str | None:
    """The fullest address that still has `count` ports, so that big servers find one too; else the emptiest."""
    counts = {row["ip"]: row["free"] for row in free.order_by().values("ip").annotate(free=Count("pk"))}
    enough = {ip: number for ip, number in counts.items() if number >= count}
    if enough:
        return min(enough, key=lambda ip: (enough[ip], ip))
    return max(counts, key=lambda ip: (counts[ip], ip), default=None)


def _reserve(node_id: UUID, wish: ReservationRequest, ports: list[UUID]) -> Reservation:
    size = wish.size
    reservation = Reservation.objects.create(
        organization=wish.organization,
        node_id=node_id,
        memory_mib=size.memory_mib,
        disk_mib=size.disk_mib,
        cpu_percent=size.cpu_percent,
        ports=size.ports,
        expires_at=wish.expires_at,
    )
    Allocation.objects.filter(pk__in=ports[1:]).update(reservation=reservation)
    Allocation.objects.filter(pk=ports[0]).update(reservation=reservation, is_primary=True)
    return reservation


def confirm(*, reservation_id: UUID, at: datetime) -> bool:
    """Make held room last, since it is paid; whether it is kept now. False means it was given back before."""
    with tenancy.as_worker():
        rows = Reservation.objects.filter(pk=reservation_id)
        held = rows.filter(state=ReservationState.RESERVED)
        is_kept = held.update(state=ReservationState.CONFIRMED, expires_at=None)
        return bool(is_kept) or rows.filter(state=ReservationState.CONFIRMED).exists()


def extend(*, reservation_id: UUID, expires_at: datetime) -> bool:
    """Hold unpaid room until a later instant; False when it is no longer merely held. Never shortens a hold."""
    with tenancy.as_worker():
        held = Reservation.objects.filter(pk=reservation_id, state=ReservationState.RESERVED)
        return bool(held.update(expires_at=Greatest("expires_at", Value(expires_at))))


def release(*, reservation_id: UUID, at: datetime) -> bool:
    """Give room back; whether this call did. Calling it twice is harmless."""
    with tenancy.as_worker():
        rows = Reservation.objects.filter(pk=reservation_id).exclude(state=ReservationState.RELEASED)
        return _give_back(rows, at)


def _give_back(rows: QuerySet[Reservation], at: datetime) -> bool:
    """The row of `rows`, if it still is among them once its lock is ours."""
    reservation = rows.select_for_update(no_key=True).first()
    if reservation is None:
        return False
    Reservation.objects.filter(pk=reservation.pk).update(
        state=ReservationState.RELEASED, expires_at=None, released_at=at
    )
    Node.objects.filter(pk=reservation.node_id).update(
        memory_reserved_mib=F("memory_reserved_mib") - reservation.memory_mib,
        disk_reserved_mib=F("disk_reserved_mib") - reservation.disk_mib,
    )
    Allocation.objects.filter(reservation=reservation).update(reservation=None, is_primary=False)
    return True


def expire_due(*, at: datetime) -> int:
    """Give back what was held and not paid in time; the number of reservations. Each in its own transaction."""
    due = Reservation.objects.filter(state=ReservationState.RESERVED, expires_at__lte=at).order_by("expires_at")
    expired = 0
    for pk in list(due.values_list("pk", flat=True)[:EXPIRED_AT_ONCE]):
        with tenancy.as_worker():
            expired += _give_back(due.filter(pk=pk), at)
    return expired


def replace_port(*, allocation_id: UUID) -> Allocation:
    """Give a reservation another port of its node for one that the panel has given away. Raises NoFreePort."""
    with tenancy.as_worker():
        lost = Allocation.objects.get(pk=allocation_id)
        Node.objects.select_for_update(no_key=True).get(pk=lost.node_id)
        lost = Allocation.objects.select_for_update().get(pk=allocation_id)
        if lost.reservation_id is None:
            raise NoFreePort(f"{lost} is not held by anyone")
        reservation_id, is_primary = lost.reservation_id, lost.is_primary
        ports = _ports_waited_for(_free_ports(lost.node_id, 1), 1)
        if not ports:
            raise NoFreePort(f"{lost.node_id} has no free port left")
        rows = Allocation.objects.filter(pk=lost.pk)
        rows.update(reservation=None, is_primary=False, is_taken_elsewhere=True)
        Allocation.objects.filter(pk=ports[0]).update(reservation_id=reservation_id, is_primary=is_primary)
        return Allocation.objects.get(pk=ports[0])
