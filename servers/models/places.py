"""Where machines stand: locations, nodes with their capacity, and ports."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, Timestamped
from servers.models.providers import Provider


class Location(Entity, Timestamped):
    """A region of a provider, such as us-east."""

    tenancy = tenancy.SHARED

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="locations")
    ref = models.CharField(_("panel ID"), max_length=64)
    code = models.CharField(max_length=60)
    name = models.CharField(max_length=191, blank=True, default="")
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Customers can order in active locations only.")
    )
    is_present = models.BooleanField(_("on the panel"), default=True, help_text=_("Seen by the last sync."))

    class Meta:
        verbose_name = _("location")
        verbose_name_plural = _("locations")
        ordering = ["code"]
        constraints = [models.UniqueConstraint(fields=["provider", "ref"], name="servers_location_once")]

    def __str__(self) -> str:
        return self.name or self.code


class Node(Entity, Timestamped):
    """A machine that servers are placed on. Sizes in MiB.

    `memory_sellable_mib` is what sync works out: total × (1 + overcommit) − headroom − what foreign servers use.
    `memory_reserved_mib` counts reservations; the CHECK makes overselling impossible whatever the code does.
    """

    tenancy = tenancy.SHARED

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="nodes")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="nodes")
    ref = models.CharField(_("panel ID"), max_length=64)
    name = models.CharField(max_length=191)
    memory_mib = models.PositiveBigIntegerField(_("memory (MiB)"))
    disk_mib = models.PositiveBigIntegerField(_("disk (MiB)"))
    memory_headroom_mib = models.PositiveBigIntegerField(
        _("memory kept free (MiB)"), default=0, help_text=_("Never sold, for the system itself.")
    )
    disk_headroom_mib = models.PositiveBigIntegerField(
        _("disk kept free (MiB)"), default=0, help_text=_("Never sold, for the system itself.")
    )
    memory_overcommit_percent = models.PositiveIntegerField(
        _("memory overcommit (%)"),
        default=0,
        help_text=_("Sell this much more memory than there is. 0: never more than there is."),
    )
    disk_overcommit_percent = models.PositiveIntegerField(
        _("disk overcommit (%)"),
        default=0,
        help_text=_("Sell this much more disk than there is. 0: never more than there is."),
    )
    memory_foreign_mib = models.PositiveBigIntegerField(
        _("memory of other servers (MiB)"),
        default=0,
        help_text=_("Used on the panel by servers that this shop does not manage."),
    )
    disk_foreign_mib = models.PositiveBigIntegerField(
        _("disk of other servers (MiB)"),
        default=0,
        help_text=_("Used on the panel by servers that this shop does not manage."),
    )
    memory_sellable_mib = models.PositiveBigIntegerField(_("memory for sale (MiB)"), default=0)
    disk_sellable_mib = models.PositiveBigIntegerField(_("disk for sale (MiB)"), default=0)
    memory_reserved_mib = models.PositiveBigIntegerField(_("memory reserved (MiB)"), default=0)
    disk_reserved_mib = models.PositiveBigIntegerField(_("disk reserved (MiB)"), default=0)
    is_enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("New servers are placed on enabled nodes only.")
    )
    is_draining = models.BooleanField(
        _("draining"), default=False, help_text=_("No new servers are placed here; existing ones stay.")
    )
    is_in_maintenance = models.BooleanField(_("in maintenance on the panel"), default=False)
    is_present = models.BooleanField(_("on the panel"), default=True, help_text=_("Seen by the last sync."))

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


class Allocation(Entity, Timestamped):
    """An address and port on a node, held by at most one reservation."""

    tenancy = tenancy.SHARED

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="allocations")
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
                name="servers_allocation_primary_is_held",
                condition=models.Q(is_primary=False) | models.Q(reservation__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                fields=["node", "port"],
                condition=models.Q(reservation__isnull=True, is_taken_elsewhere=False, is_present=True),
                name="servers_allocation_free",
            )
        ]

    @property
    def address(self) -> str:
        """What a player types: alias or ip, then the port."""
        host = self.alias or self.ip
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def __str__(self) -> str:
        return self.address
