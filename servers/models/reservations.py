"""Reservations: the capacity of one server, from the start of checkout to its deletion."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core import formats, tenancy
from core.models import Entity, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from servers.models.blueprints import Blueprint
from servers.models.nodes import Node


class ReservationState(StatusChoices):
    RESERVED = "reserved", Tone.INFO, _("Reserved for checkout")
    CONFIRMED = "confirmed", Tone.SUCCESS, _("Confirmed")
    RELEASED = "released", Tone.NEUTRAL, _("Released")


class Reservation(Entity, Timestamped):
    """Memory, disk and ports of a node for one server, to be built by a blueprint of the node's provider.

    Expires at `expires_at`, is confirmed when paid, and released exactly once. `refused` says which other candidates
    were not taken, and why. One that `extends` another is what a larger plan takes in addition on the same node; once
    paid it becomes part of that one.
    """

    tenancy = tenancy.OWNED
    hidden_fields = ("refused", "choice")

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="reservations")
    blueprint = models.ForeignKey(
        Blueprint, on_delete=models.PROTECT, related_name="reservations", verbose_name=_("blueprint")
    )
    extends = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="extensions",
        verbose_name=_("extends"),
        help_text=_("The reservation of the server that gets this in addition."),
    )
    refused: Any = models.JSONField(
        _("refused candidates"), default=list, blank=True, help_text=_("Blueprints and nodes not taken, and why.")
    )
    choice = models.CharField(
        _("choice of the node"), max_length=255, blank=True, default="", help_text=_("Why this node was taken.")
    )
    memory_mib = models.PositiveIntegerField(_("memory (MiB)"))
    disk_mib = models.PositiveIntegerField(_("disk (MiB)"))
    cpu_percent = models.PositiveIntegerField(_("CPU (% of a core)"))
    ports = models.PositiveIntegerField(_("ports"), default=1)
    state = StatusField(max_length=9, choices=ReservationState, default=ReservationState.RESERVED)
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
        return f"{formats.size(self.memory_mib)}, {self.get_state_display()}"
