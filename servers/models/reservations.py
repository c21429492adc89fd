"""Reservations: the capacity of one server, from the start of checkout to its deletion."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core import tenancy
from core.models import Entity, Timestamped, choices_check, iff
from servers.models.nodes import Node


class ReservationState(models.TextChoices):
    RESERVED = "reserved", _("Reserved for checkout")
    CONFIRMED = "confirmed", _("Confirmed: paid for")
    RELEASED = "released", _("Released")


class Reservation(Entity, Timestamped):
    """Memory, disk and ports of a node. Expires at `expires_at`, is confirmed when paid, and released exactly once."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="reservations")
    memory_mib = models.PositiveIntegerField()
    disk_mib = models.PositiveIntegerField()
    cpu_percent = models.PositiveIntegerField()
    ports = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=9, choices=ReservationState, default=ReservationState.RESERVED)
    expires_at = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("reservation")
        verbose_name_plural = _("reservations")
        constraints = [
            choices_check("servers_reservation_state_known", "state", ReservationState),
            iff(
                "servers_reservation_expires_iff_reserved",
                models.Q(state=ReservationState.RESERVED),
                models.Q(expires_at__isnull=False),
            ),
            iff(
                "servers_reservation_released_at_iff_released",
                models.Q(state=ReservationState.RELEASED),
                models.Q(released_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=models.Q(state=ReservationState.RESERVED),
                name="servers_reservation_expiry",
            )
        ]

    def __str__(self) -> str:
        return f"{self.memory_mib} MiB on {self.node_id}, {self.state}"
