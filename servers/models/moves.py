"""Servers that are to leave their nodes, as staff plan them who drain a node."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, Timestamped
from servers.models.nodes import Node
from servers.models.reservations import Reservation
from servers.models.servers import Server


class ServerMove(Entity, Timestamped):
    """A server that is to leave its node, with what is reserved for it on another one.

    It is open until the provider has the server elsewhere (`moved_at`), or nobody wants it to move any more.
    """

    tenancy = tenancy.PRIVATE

    server = models.ForeignKey(Server, on_delete=models.PROTECT, related_name="moves")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="moves", verbose_name=_("from"))
    reservation = models.OneToOneField(
        Reservation, null=True, blank=True, on_delete=models.PROTECT, related_name="server_move"
    )
    problem = models.TextField(_("problem"), blank=True, default="", help_text=_("Why no other node takes it."))
    asked_at = models.DateTimeField(_("asked at"))
    moved_at = models.DateTimeField(_("moved at"), null=True, blank=True)
    canceled_at = models.DateTimeField(_("canceled at"), null=True, blank=True)

    class Meta:
        verbose_name = _("move of a server")
        verbose_name_plural = _("moves of servers")
        ordering = ["-asked_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["server"],
                condition=models.Q(moved_at__isnull=True, canceled_at__isnull=True),
                name="servers_move_one_open",
            ),
            models.CheckConstraint(
                name="servers_move_ends_once",
                condition=models.Q(moved_at__isnull=True) | models.Q(canceled_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.server} · {self.node}"
