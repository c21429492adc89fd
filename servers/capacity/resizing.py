"""The capacity of a server that gets another size: more of its node before that is paid, less once it is smaller.

The locking rule is that of `reservations`: a reservation before its node, the node before its allocations.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F, Q

from core import tenancy
from servers.capacity.availability import Size, placeable
from servers.capacity.reservations import InsufficientCapacity, lock_free_ports, oversold
from servers.models import Allocation, Node, Reservation, ReservationState


@dataclass(frozen=True)
class Growth:
    """What a server takes of its node in addition. Memory and disk in MiB."""

    memory_mib: int
    disk_mib: int
    ports: int

    def __post_init__(self) -> None:
        """Refuse what would give capacity back."""
        if min(self.memory_mib, self.disk_mib, self.ports) < 0:
            raise ValueError("a growth is never negative")

    def __bool__(self) -> bool:
        return any((self.memory_mib, self.disk_mib, self.ports))

    @property
    def fits(self) -> Q:
        """What a node must have left for it. What does not grow needs nothing, also where too much was sold."""
        fits = Q()
        if self.memory_mib:
            fits &= Q(is_elastic=True) | Q(memory_sellable_mib__gte=F("memory_reserved_mib") + self.memory_mib)
        if self.disk_mib:
            fits &= Q(is_elastic=True) | Q(disk_sellable_mib__gte=F("disk_reserved_mib") + self.disk_mib)
        return fits


def extend_reservation(*, reservation_id: UUID, growth: Growth, expires_at: datetime | None) -> Reservation:
    """Reserve more for a server on its own node, until `expires_at`, or for good where that is None.

    It becomes the server's by `merge_extension`. Raises InsufficientCapacity where the node has not enough.
    """
    with tenancy.as_worker():
        reservation = Reservation.objects.select_for_update(no_key=True).get(pk=reservation_id)
        if reservation.state != ReservationState.CONFIRMED:
            raise InsufficientCapacity(f"reservation {reservation_id} is {reservation.state}")
        has_capacity = placeable(Node.objects.filter(pk=reservation.node_id)).filter(growth.fits)
        is_taken = has_capacity.update(
            memory_reserved_mib=F("memory_reserved_mib") + growth.memory_mib,
            disk_reserved_mib=F("disk_reserved_mib") + growth.disk_mib,
        )
        ports = lock_free_ports(reservation.node_id, growth.ports) if is_taken and growth.ports else []
        if not is_taken or len(ports) < growth.ports:
            raise InsufficientCapacity(f"the node of reservation {reservation_id} cannot take {growth} more")
        extension = Reservation.objects.create(
            organization_id=reservation.organization_id,
            node_id=reservation.node_id,
            blueprint_id=reservation.blueprint_id,
            extends=reservation,
            memory_mib=growth.memory_mib,
            disk_mib=growth.disk_mib,
            cpu_percent=0,
            ports=growth.ports,
            state=ReservationState.RESERVED if expires_at else ReservationState.CONFIRMED,
            expires_at=expires_at,
        )
        Allocation.objects.filter(pk__in=ports).update(reservation=extension, is_taken_elsewhere=False)
    return extension


def merge_extension(*, extension_id: UUID, at: datetime) -> None:
    """What was reserved in addition is paid: it belongs to the server's own reservation from now on.

    Raises InsufficientCapacity where it was released, or the server was moved to another node since.
    """
    with tenancy.within_worker():
        base_id = Reservation.objects.values_list("extends_id", flat=True).get(pk=extension_id)
        rows = Reservation.objects.filter(pk__in=[base_id, extension_id]).order_by("pk")
        locked = {row.pk: row for row in rows.select_for_update(no_key=True)}
        base, extension = locked[base_id], locked[extension_id]
        is_gone = ReservationState.RELEASED in {base.state, extension.state}
        if is_gone or base.node_id != extension.node_id:
            raise InsufficientCapacity(f"what reservation {extension_id} reserved is no longer there")
        Allocation.objects.filter(reservation=extension).update(reservation=base)
        Reservation.objects.filter(pk=extension.pk).update(
            state=ReservationState.RELEASED, expires_at=None, released_at=at
        )
        Reservation.objects.filter(pk=base.pk).update(
            memory_mib=F("memory_mib") + extension.memory_mib,
            disk_mib=F("disk_mib") + extension.disk_mib,
            ports=F("ports") + extension.ports,
        )


def shrink(*, reservation_id: UUID, size: Size) -> None:
    """Return to its node what a server's reservation has beyond `size`: the provider has made the server smaller.

    Of its ports it keeps the first ones. Calling it twice is harmless.
    """
    with tenancy.within_worker():
        row = Reservation.objects.select_for_update(no_key=True).get(pk=reservation_id)
        if row.state == ReservationState.RELEASED:
            return
        memory, disk = max(0, row.memory_mib - size.memory_mib), max(0, row.disk_mib - size.disk_mib)
        Node.objects.filter(pk=row.node_id).update(
            memory_reserved_mib=F("memory_reserved_mib") - memory,
            memory_oversold_mib=oversold("memory", -memory),
            disk_reserved_mib=F("disk_reserved_mib") - disk,
            disk_oversold_mib=oversold("disk", -disk),
        )
        surplus = [port.pk for port in ports_in_order(row.pk)[size.ports :]]
        Allocation.objects.filter(pk__in=surplus).update(reservation=None, is_primary=False)
        Reservation.objects.filter(pk=row.pk).update(
            memory_mib=F("memory_mib") - memory,
            disk_mib=F("disk_mib") - disk,
            ports=F("ports") - len(surplus),
            cpu_percent=size.cpu_percent,
        )


def ports_in_order(reservation_id: UUID) -> list[Allocation]:
    """A reservation's ports, the primary first."""
    return list(Allocation.objects.filter(reservation=reservation_id).order_by("-is_primary", "port", "ip"))
