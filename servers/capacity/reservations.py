"""Reservations of a node's memory, disk and ports: reserved at checkout, confirmed when paid, released exactly once.

The locking rule: a node's row before its allocations; a reservation before its node; two nodes (a move) by their ids.
Each reservation is made in a transaction of its own, since several in one would lock several nodes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import transaction
from django.db.models import Case, Count, F, Func, QuerySet, UUIDField, Value, When
from django.db.models.functions import Greatest

from accounts.models import Organization
from core import tenancy, work
from servers.capacity.availability import Size, placeable, with_capacity
from servers.capacity.candidates import Candidates, candidates, describe
from servers.models import FREE, Allocation, Blueprint, Node, Region, Reservation, ReservationState


class InsufficientCapacity(Exception):
    """No node of the region can take a server of this size now."""


class NoFreePort(InsufficientCapacity):
    """The node of a confirmed reservation has no other free port."""


class UnknownPort(LookupError):
    """A port of the node that no sync has seen yet."""


@dataclass(frozen=True)
class ReservationRequest:
    """What to reserve, for whom and until when, and among which candidates."""

    organization: Organization
    size: Size
    expires_at: datetime
    found: Candidates


def reserve(
    *,
    organization: Organization,
    blueprints: Sequence[Blueprint],
    region: Region,
    size: Size,
    addons: Collection[str] = (),
    at: datetime,
    expires_at: datetime,
) -> Reservation:
    """Reserve capacity in the region until `expires_at`, for one server built by one of the blueprints.

    Each blueprint is of a provider of its own; those that cannot deliver add-ons of these kinds are refused. Raises
    InsufficientCapacity when no node has enough.
    """
    if expires_at <= at:
        raise ValueError("a reservation must expire in the future")
    skip_locked = True
    with tenancy.as_worker(organization):
        wanted: dict[str, Any] = {"blueprints": blueprints, "region": region, "size": size, "addons": addons}
        while (found := candidates(**wanted)).blueprints:
            request = ReservationRequest(organization, size, expires_at, found)
            nodes, unlocked = list(found.blueprints), None
            if len(nodes) > 1:  # waiting for a locked node is the last resort
                with transaction.atomic():
                    rows = Node.objects.select_for_update(skip_locked=True, no_key=True).filter(pk__in=nodes)
                    place = Func(Value(nodes, ArrayField(UUIDField())), F("pk"), function="array_position")
                    unlocked = rows.order_by(place).values_list("pk", flat=True).first()
                    transaction.set_rollback(True)  # give the lock of this one row back at once
            for node_id in sorted(nodes, key=lambda node: node != unlocked):
                blueprint = found.blueprints[node_id]
                if reservation := reserve_on_node(node_id, blueprint, request, skip_locked=skip_locked):
                    return reservation
            skip_locked = False  # ports that looked free may be locked by a sync: wait for them from now on
    message = f"{region.code} cannot take {size.memory_mib} MiB, {size.disk_mib} MiB and {size.ports} port(s)"
    raise InsufficientCapacity("; ".join([message, *describe(found.refused)]))


def reserve_on_node(
    node_id: UUID, blueprint: Blueprint, request: ReservationRequest, *, skip_locked: bool
) -> Reservation | None:
    """The reservation on this node; None where it has not enough, with nothing changed and no lock kept."""
    size = request.size
    with transaction.atomic():
        has_capacity = placeable(Node.objects.filter(pk=node_id)).filter(*with_capacity(size).values())
        is_taken = has_capacity.update(
            memory_reserved_mib=F("memory_reserved_mib") + size.memory_mib,
            disk_reserved_mib=F("disk_reserved_mib") + size.disk_mib,
            servers_reserved=F("servers_reserved") + 1,
        )
        ports = lock_free_ports(node_id, size.ports, skip_locked=skip_locked) if is_taken and size.ports else []
        if not is_taken or len(ports) < size.ports:
            transaction.set_rollback(True)
            return None
        reservation = Reservation.objects.create(
            organization=request.organization,
            node_id=node_id,
            blueprint=blueprint,
            refused=request.found.refused,
            choice=request.found.choice(node_id),
            memory_mib=size.memory_mib,
            disk_mib=size.disk_mib,
            cpu_percent=size.cpu_percent,
            ports=size.ports,
            expires_at=request.expires_at,
        )
        assign_ports(reservation, ports)
        return reservation


def assign_ports(reservation: Reservation, ports: Sequence[UUID]) -> None:
    """Give the reservation these ports, which the caller has locked, the first as the primary."""
    Allocation.objects.filter(pk__in=ports[1:]).update(reservation=reservation, is_taken_elsewhere=False)
    Allocation.objects.filter(pk__in=ports[:1]).update(
        reservation=reservation, is_taken_elsewhere=False, is_primary=True
    )


def lock_free_ports(node_id: UUID, count: int, *, skip_locked: bool = False) -> list[UUID]:
    """Up to `count` free ports of a node whose row the caller has locked, of one address where one has enough."""
    free = Allocation.objects.filter(FREE, node_id=node_id)
    order: list[str | Case] = ["port", "ip"]
    if count > 1:
        # Of the addresses with enough free ports the one with the fewest; where none has enough, the one with most.
        counts = {row["ip"]: row["free"] for row in free.order_by().values("ip").annotate(free=Count("pk"))}
        enough = {ip: number for ip, number in counts.items() if number >= count}
        if counts:
            best = min(enough or counts, key=lambda ip: (enough[ip] if enough else -counts[ip], ip))
            order.insert(0, Case(When(ip=best, then=Value(0)), default=Value(1)))
    rows = free.order_by(*order).select_for_update(skip_locked=skip_locked)
    return [port.pk for port in rows[:count]]


def confirm(*, reservation_ids: Collection[UUID]) -> set[UUID]:
    """Make paid reservations permanent; the ids of those that are confirmed now. The others were released before."""
    with tenancy.within_worker():
        rows = Reservation.objects.filter(pk__in=reservation_ids)
        locked = rows.select_for_update(no_key=True).exclude(state=ReservationState.RELEASED).order_by("pk")
        kept = set(locked.values_list("pk", flat=True))
        rows.filter(state=ReservationState.RESERVED).update(state=ReservationState.CONFIRMED, expires_at=None)
        return kept


def extend(*, reservation_id: UUID, expires_at: datetime) -> bool:
    """Let an unpaid reservation expire later, never earlier; False when it is confirmed or released already."""
    with tenancy.as_worker():
        reserved = Reservation.objects.filter(pk=reservation_id, state=ReservationState.RESERVED)
        return bool(reserved.update(expires_at=Greatest("expires_at", Value(expires_at))))


def release(*, reservation_ids: Collection[UUID], at: datetime) -> int:
    """Return the capacity of these to their nodes; how many this call released. Calling it twice is harmless."""
    with tenancy.as_worker():
        return _release(Reservation.objects.filter(pk__in=reservation_ids).exclude(state=ReservationState.RELEASED), at)


def expire_due(*, at: datetime) -> int:
    """Release what was not paid in time; the number of reservations. Each in its own transaction."""
    due = Reservation.objects.filter(state=ReservationState.RESERVED, expires_at__lte=at).order_by("expires_at")

    def expire(pk: UUID) -> bool:
        with tenancy.as_worker():
            return bool(_release(due.filter(pk=pk), at))

    return work.run_each(list(due.values_list("pk", flat=True)), expire, name="release")


def _release(rows: QuerySet[Reservation], at: datetime) -> int:
    """Release those of `rows` that are still among them once they are locked; how many."""
    reservations = list(rows.order_by("pk").select_for_update(no_key=True))
    if len(reservations) > 1:
        nodes = Node.objects.filter(pk__in={reservation.node_id for reservation in reservations})
        list(nodes.order_by("pk").select_for_update(no_key=True))
    for reservation in reservations:
        Reservation.objects.filter(pk=reservation.pk).update(
            state=ReservationState.RELEASED, expires_at=None, released_at=at
        )
        return_to_node(reservation)
    return len(reservations)


def return_to_node(reservation: Reservation) -> None:
    """Take the reservation's capacity and ports from its node. What was oversold there shrinks with it."""
    Node.objects.filter(pk=reservation.node_id).update(
        memory_reserved_mib=F("memory_reserved_mib") - reservation.memory_mib,
        memory_oversold_mib=oversold("memory", -reservation.memory_mib),
        disk_reserved_mib=F("disk_reserved_mib") - reservation.disk_mib,
        disk_oversold_mib=oversold("disk", -reservation.disk_mib),
        servers_reserved=F("servers_reserved") - (0 if reservation.extends_id else 1),
    )
    Allocation.objects.filter(reservation=reservation).update(reservation=None, is_primary=False)


def oversold(kind: str, change: int) -> Greatest:
    """What will be reserved of a node beyond what can be sold of it, when `change` is reserved in addition."""
    return Greatest(F(f"{kind}_reserved_mib") + change - F(f"{kind}_sellable_mib"), 0)


def take_of_node(node_id: UUID, *, memory_mib: int, disk_mib: int) -> None:
    """Count a server that is on the locked node already, also where the node is oversold by it."""
    Node.objects.filter(pk=node_id).update(
        memory_reserved_mib=F("memory_reserved_mib") + memory_mib,
        memory_oversold_mib=oversold("memory", memory_mib),
        disk_reserved_mib=F("disk_reserved_mib") + disk_mib,
        disk_oversold_mib=oversold("disk", disk_mib),
        servers_reserved=F("servers_reserved") + 1,
    )


def reserve_existing(
    *, organization: Organization, node_id: UUID, blueprint: Blueprint, size: Size, refs: Sequence[str]
) -> Reservation:
    """The confirmed reservation of a server that is on the node already, with its ports (the primary first).

    What is there is there: the node may be oversold by it. The caller has the node's lock. Raises UnknownPort, and
    NoFreePort where one of the ports is reserved for another server.
    """
    with tenancy.within_worker():
        rows = Allocation.objects.filter(node_id=node_id, ref__in=refs).order_by("pk")
        ports = {port.ref: port for port in rows.select_for_update()}
        if len(ports) < len(set(refs)):
            raise UnknownPort(f"ports of node {node_id} that are not known: {', '.join(set(refs) - set(ports))}")
        if others := [str(port) for port in ports.values() if port.reservation_id is not None]:
            raise NoFreePort(f"reserved for another server: {', '.join(others)}")
        take_of_node(node_id, memory_mib=size.memory_mib, disk_mib=size.disk_mib)
        reservation = Reservation.objects.create(
            organization=organization,
            node_id=node_id,
            blueprint=blueprint,
            memory_mib=size.memory_mib,
            disk_mib=size.disk_mib,
            cpu_percent=size.cpu_percent,
            ports=size.ports,
            state=ReservationState.CONFIRMED,
        )
        assign_ports(reservation, [ports[ref].pk for ref in refs])
    return reservation


def move(*, reservation_id: UUID, node_id: UUID, refs: Sequence[str]) -> None:
    """Put a reservation on the node and the ports (by their refs, the primary first) where its server already is.

    The node may be oversold by it: what is there is there. Another reservation that has one of the ports gets another.
    Raises UnknownPort, and NoFreePort where the other reservation cannot get one.
    """
    with tenancy.within_worker():
        reservation = Reservation.objects.select_for_update(no_key=True).get(pk=reservation_id)
        nodes = Node.objects.filter(pk__in={reservation.node_id, node_id}).order_by("pk")
        list(nodes.select_for_update(no_key=True))
        found = Allocation.objects.filter(node_id=node_id, ref__in=refs).order_by("pk")
        ports = {port.ref: port for port in found.select_for_update()}
        if len(ports) < len(set(refs)):
            raise UnknownPort(f"{reservation_id} has ports of {node_id} that are not known")
        return_to_node(reservation)
        others = [port.pk for port in ports.values() if port.reservation_id not in {None, reservation_id}]
        found.exclude(pk__in=others).update(reservation=reservation)  # so that the others are not given these
        for port_id in others:
            replace_port(allocation_id=port_id)
        take_of_node(node_id, memory_mib=reservation.memory_mib, disk_mib=reservation.disk_mib)
        Reservation.objects.filter(pk=reservation_id).update(node_id=node_id)
        assign_ports(reservation, [ports[ref].pk for ref in refs])


def replace_port(*, allocation_id: UUID) -> Allocation:
    """Give a reservation another port of its node for one that the panel assigned elsewhere. Raises NoFreePort."""
    with tenancy.as_worker():
        lost = Allocation.objects.get(pk=allocation_id)
        Node.objects.select_for_update(no_key=True).get(pk=lost.node_id)
        lost = Allocation.objects.select_for_update().get(pk=allocation_id)
        if lost.reservation_id is None:
            raise NoFreePort(f"{lost} belongs to no reservation")
        reservation_id, is_primary = lost.reservation_id, lost.is_primary
        ports = lock_free_ports(lost.node_id, 1)
        if not ports:
            raise NoFreePort(f"{lost.node_id} has no free port left")
        rows = Allocation.objects.filter(pk=lost.pk)
        rows.update(reservation=None, is_primary=False, is_taken_elsewhere=True)
        Allocation.objects.filter(pk=ports[0]).update(reservation_id=reservation_id, is_primary=is_primary)
        return Allocation.objects.get(pk=ports[0])
