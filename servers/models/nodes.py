"""Nodes: the machines that servers run on, with their capacity."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, Timestamped
from servers.models.locations import Location
from servers.models.providers import Provider


class Node(Entity, Timestamped):
    """A machine that servers run on. Sizes in MiB.

    `memory_sellable_mib` is computed by the sync: total × (1 + overcommit) − headroom − what foreign servers use.
    `memory_reserved_mib` is the sum of the reservations; a CHECK keeps it within what is sellable.
    """

    tenancy = tenancy.SHARED

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="nodes")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="nodes")
    ref = models.CharField(max_length=64)
    name = models.CharField(max_length=191)
    memory_mib = models.PositiveBigIntegerField()
    disk_mib = models.PositiveBigIntegerField()
    memory_headroom_mib = models.PositiveBigIntegerField(default=0)
    disk_headroom_mib = models.PositiveBigIntegerField(default=0)
    memory_overcommit_percent = models.PositiveIntegerField(default=0)
    disk_overcommit_percent = models.PositiveIntegerField(default=0)
    memory_foreign_mib = models.PositiveBigIntegerField(default=0)
    disk_foreign_mib = models.PositiveBigIntegerField(default=0)
    memory_sellable_mib = models.PositiveBigIntegerField(default=0)
    disk_sellable_mib = models.PositiveBigIntegerField(default=0)
    memory_reserved_mib = models.PositiveBigIntegerField(default=0)
    disk_reserved_mib = models.PositiveBigIntegerField(default=0)
    is_enabled = models.BooleanField(default=True)
    is_draining = models.BooleanField(default=False)
    is_in_maintenance = models.BooleanField(default=False)
    is_present = models.BooleanField(default=True, help_text=_("Found by the last sync."))

    class Meta:
        verbose_name = _("node")
        verbose_name_plural = _("nodes")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "ref"], name="servers_node_once"),
            models.CheckConstraint(
                name="servers_node_memory_not_oversold",
                condition=models.Q(memory_reserved_mib__lte=models.F("memory_sellable_mib")),
            ),
            models.CheckConstraint(
                name="servers_node_disk_not_oversold",
                condition=models.Q(disk_reserved_mib__lte=models.F("disk_sellable_mib")),
            ),
        ]

    def __str__(self) -> str:
        return self.name
