"""Blueprints: which egg, image and environment a plan is built with, and in which locations."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models import Plan, Product
from core import tenancy
from core.models import Entity, Timestamped
from servers.models.eggs import Egg
from servers.models.locations import Location
from servers.models.providers import Provider


class Blueprint(Entity, Timestamped):
    """How a product's plans are built at a provider: as games of an egg, or as machines of a provider's plan.

    A blueprint for one plan takes precedence over its product's.
    """

    tenancy = tenancy.SHARED

    name = models.CharField(max_length=100, unique=True)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="blueprints")
    plan = models.ForeignKey(
        Plan,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="blueprints",
        verbose_name=_("plan"),
        help_text=_("Empty: every plan of the product."),
    )
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="blueprints")
    egg = models.ForeignKey(Egg, null=True, blank=True, on_delete=models.PROTECT, related_name="blueprints")
    plan_ref = models.CharField(
        _("provider's plan"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("For machines: the provider's own name of the size. Empty for games."),
    )
    image = models.CharField(
        _("image"),
        max_length=191,
        blank=True,
        default="",
        help_text=_("A game's Docker image (empty: the egg's default), or a machine's operating system."),
    )
    startup = models.TextField(_("start-up command"), blank=True, default="", help_text=_("Empty: the egg's own."))
    environment: Any = models.JSONField(
        _("environment variables"),
        default=dict,
        blank=True,
        help_text=_("Override the egg's defaults. {{secret}} becomes a new password for each server."),
    )
    locations = models.ManyToManyField(
        Location,
        related_name="blueprints",
        blank=True,
        help_text=_("None chosen: every location."),
        verbose_name=_("locations"),
    )
    install_minutes = models.PositiveIntegerField(
        _("installation limit (minutes)"), default=30, help_text=_("An installation that takes longer has failed.")
    )
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("blueprint")
        verbose_name_plural = _("blueprints")
        constraints = [
            models.UniqueConstraint(
                fields=["product", "plan"],
                condition=models.Q(is_active=True),
                nulls_distinct=False,
                name="servers_blueprint_one_active",
            )
        ]

    def __str__(self) -> str:
        return self.name
