"""Locations: where a provider has nodes."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, Timestamped
from servers.models.providers import Provider
from servers.models.regions import Region


class Location(Entity, Timestamped):
    """A provider's location, such as us-east. What it has is sold in its region; without one, nothing is."""

    tenancy = tenancy.SHARED

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="locations", db_index=False)
    ref = models.CharField(_("panel ID"), max_length=64)
    code = models.CharField(max_length=60)
    name = models.CharField(max_length=191, blank=True, default="")
    region = models.ForeignKey(
        Region,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="locations",
        verbose_name=_("region"),
        help_text=_("Where customers order what this location has. Empty: nothing is sold here."),
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("New servers are placed in active locations only.")
    )
    is_present = models.BooleanField(_("on the panel"), default=True, help_text=_("Seen by the last sync."))

    class Meta:
        verbose_name = _("location")
        verbose_name_plural = _("locations")
        ordering = ["code"]
        constraints = [models.UniqueConstraint(fields=["provider", "ref"], name="servers_location_once")]

    def __str__(self) -> str:
        return self.name or self.code
