"""Eggs: the panel's game templates, mirrored by the sync."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, Timestamped
from servers.models.providers import Provider


class Nest(Entity, Timestamped):
    """A group of eggs."""

    tenancy = tenancy.SHARED

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="nests", db_index=False)
    ref = models.CharField(_("panel ID"), max_length=64)
    name = models.CharField(max_length=191)
    author = models.CharField(max_length=191, blank=True, default="")
    description = models.TextField(blank=True, default="")
    is_present = models.BooleanField(_("on the panel"), default=True, help_text=_("Seen by the last sync."))

    class Meta:
        verbose_name = _("nest")
        verbose_name_plural = _("nests")
        constraints = [models.UniqueConstraint(fields=["provider", "ref"], name="servers_nest_once")]

    def __str__(self) -> str:
        return self.name


class Egg(Entity, Timestamped):
    """How one game is installed and started."""

    tenancy = tenancy.SHARED

    nest = models.ForeignKey(Nest, on_delete=models.PROTECT, related_name="eggs", db_index=False)
    ref = models.CharField(_("panel ID"), max_length=64)
    name = models.CharField(max_length=191)
    author = models.CharField(max_length=191, blank=True, default="")
    description = models.TextField(blank=True, default="")
    docker_images: Any = models.JSONField(_("Docker images"), default=dict, blank=True)
    first_image = models.CharField(
        _("default image"),
        max_length=191,
        blank=True,
        default="",
        help_text=_("The panel's list of images has no order; its first image is stored here."),
    )
    startup = models.TextField(_("start-up command"), blank=True, default="")
    is_present = models.BooleanField(_("on the panel"), default=True, help_text=_("Seen by the last sync."))

    class Meta:
        verbose_name = _("egg")
        verbose_name_plural = _("eggs")
        constraints = [models.UniqueConstraint(fields=["nest", "ref"], name="servers_egg_once")]

    @property
    def default_image(self) -> str:
        """The first image, which is the panel's default too; empty where the egg has none."""
        return self.first_image or next((image for image in self.docker_images.values() if image), "")

    def __str__(self) -> str:
        return self.name


class EggVariable(Entity, Timestamped):
    """A setting of an egg, with the panel's validation rules."""

    tenancy = tenancy.SHARED

    egg = models.ForeignKey(Egg, on_delete=models.PROTECT, related_name="variables", db_index=False)
    ref = models.CharField(_("panel ID"), max_length=64, blank=True, default="")
    name = models.CharField(max_length=191)
    description = models.TextField(blank=True, default="")
    env_variable = models.CharField(_("environment variable"), max_length=191)
    default_value = models.TextField(blank=True, default="")
    is_user_viewable = models.BooleanField(_("customers can see it"), default=True)
    is_user_editable = models.BooleanField(_("customers can change it"), default=True)
    rules = models.TextField(blank=True, default="")
    position = models.PositiveIntegerField(default=0)
    is_present = models.BooleanField(_("on the panel"), default=True, help_text=_("Seen by the last sync."))

    class Meta:
        verbose_name = _("egg variable")
        verbose_name_plural = _("egg variables")
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["egg", "env_variable"], name="servers_egg_variable_once")]

    def __str__(self) -> str:
        return self.env_variable
