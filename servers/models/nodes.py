"""Nodes: the machines that servers run on, with their capacity."""

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, Timestamped
from servers.models.locations import Location
from servers.models.providers import Provider

TAGS = RegexValidator(r"^[a-z0-9-]+( [a-z0-9-]+)*$", _("Enter words of a-z, 0-9 and hyphens, with a space between."))


class Node(Entity, Timestamped):
    """A machine that servers run on. Sizes in MiB.

    `memory_sellable_mib` is computed by the sync: total × (1 + overcommit) − headroom − what foreign servers use.
    `memory_reserved_mib` is the sum of the reservations; a CHECK keeps it within what is sellable. What was reserved
    before a node became too small, or was brought by servers moved here, is beyond it (`memory_oversold_mib`), and
    nothing is sold until that is gone. An elastic node is a location of a cloud: it has no size, and perhaps a greatest
    number of servers.
    """

    tenancy = tenancy.SHARED

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="nodes", db_index=False)
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
    memory_oversold_mib = models.PositiveBigIntegerField(_("memory reserved beyond that (MiB)"), default=0)
    disk_oversold_mib = models.PositiveBigIntegerField(_("disk reserved beyond that (MiB)"), default=0)
    is_elastic = models.BooleanField(
        _("elastic"), default=False, help_text=_("A cloud's location: its provider chooses the machine.")
    )
    max_servers = models.PositiveIntegerField(
        _("greatest number of servers"), null=True, blank=True, help_text=_("Empty: no limit.")
    )
    servers_reserved = models.PositiveIntegerField(_("servers reserved"), default=0)
    cpu_cores = models.PositiveIntegerField(
        _("cores"), null=True, blank=True, help_text=_("Empty: how busy its processor is, placement does not know.")
    )
    tags = models.CharField(
        _("tags"),
        max_length=191,
        blank=True,
        default="",
        validators=[TAGS],
        help_text=_("Words with spaces between them, such as nvme ryzen. Blueprints ask for them."),
    )
    busy_at = models.DateTimeField(
        _("busy since"),
        null=True,
        blank=True,
        help_text=_("What its servers use was measured above the limit of the settings: new servers come here last."),
    )
    is_enabled = models.BooleanField(
        _("enabled"), default=True, help_text=_("New servers are placed on enabled nodes only.")
    )
    is_draining = models.BooleanField(
        _("draining"), default=False, help_text=_("No new servers are placed here; existing ones stay.")
    )
    drain_asked_at = models.DateTimeField(
        _("to be emptied since"),
        null=True,
        blank=True,
        help_text=_("Capacity is reserved on other nodes for its servers, until they are moved."),
    )
    is_in_maintenance = models.BooleanField(_("in maintenance on the panel"), default=False)
    silent_since = models.DateTimeField(
        _("no answer since"), null=True, blank=True, help_text=_("The first call without an answer since the last one.")
    )
    unreachable_since = models.DateTimeField(
        _("unreachable since"), null=True, blank=True, help_text=_("The same, once a minute of calls confirmed it.")
    )
    is_present = models.BooleanField(_("on the panel"), default=True, help_text=_("Seen by the last sync."))

    class Meta:
        verbose_name = _("node")
        verbose_name_plural = _("nodes")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "ref"], name="servers_node_once"),
            models.CheckConstraint(
                name="servers_node_unreachable_is_silent",
                condition=models.Q(unreachable_since=None)
                | models.Q(silent_since__isnull=False, unreachable_since=models.F("silent_since")),
            ),
            models.CheckConstraint(
                name="servers_node_memory_not_oversold",
                condition=models.Q(is_elastic=True)
                | models.Q(memory_reserved_mib__lte=models.F("memory_sellable_mib") + models.F("memory_oversold_mib")),
            ),
            models.CheckConstraint(
                name="servers_node_disk_not_oversold",
                condition=models.Q(is_elastic=True)
                | models.Q(disk_reserved_mib__lte=models.F("disk_sellable_mib") + models.F("disk_oversold_mib")),
            ),
        ]

    def __str__(self) -> str:
        return self.name
