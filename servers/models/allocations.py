"""Allocations: the addresses and ports of nodes."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.models import Entity, Timestamped
from core.tenancy.declarations import custom
from servers.models.nodes import Node

# An allocation that may be given to a new reservation. The one definition, for queries and for the index behind them.
FREE = models.Q(reservation__isnull=True, is_taken_elsewhere=False, is_present=True)


class Allocation(Entity, Timestamped):
    """An address and port of a node, assigned to at most one reservation.

    Customers see which ones are free, and those of their own reservations.
    """

    tenancy = custom("reservation_id IS NULL OR reservation_id IN (SELECT id FROM servers_reservation)")

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="allocations", db_index=False)
    ref = models.CharField(_("panel ID"), max_length=64)
    ip = models.CharField(_("IP address"), max_length=45)
    alias = models.CharField(_("shown address"), max_length=191, blank=True, default="")
    port = models.PositiveIntegerField()
    is_taken_elsewhere = models.BooleanField(
        _("used by another server"),
        default=False,
        help_text=_("The panel gave it to a server that this shop does not manage."),
    )
    is_present = models.BooleanField(_("on the panel"), default=True, help_text=_("Seen by the last sync."))
    reservation = models.ForeignKey(
        "servers.Reservation", null=True, blank=True, on_delete=models.PROTECT, related_name="allocations"
    )
    is_primary = models.BooleanField(_("main port of its server"), default=False)

    class Meta:
        verbose_name = _("allocation")
        verbose_name_plural = _("allocations")
        ordering = ["ip", "port"]
        constraints = [
            models.UniqueConstraint(fields=["node", "ip", "port"], name="servers_allocation_once"),
            models.UniqueConstraint(fields=["node", "ref"], name="servers_allocation_ref_once"),
            models.UniqueConstraint(
                fields=["reservation"], condition=models.Q(is_primary=True), name="servers_allocation_one_primary"
            ),
            models.CheckConstraint(
                name="servers_allocation_primary_is_reserved",
                condition=models.Q(is_primary=False) | models.Q(reservation__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                fields=["node", "port"],
                condition=FREE,
                name="servers_allocation_free",
            )
        ]

    @property
    def address(self) -> str:
        """What a player enters: alias or ip, then the port."""
        host = self.alias or self.ip
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def __str__(self) -> str:
        return self.address
