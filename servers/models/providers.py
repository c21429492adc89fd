"""Providers of servers, and our users' accounts there."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.encryption import EncryptedJSONField
from core.models import Entity, RegisteredIn, StatusChoices, StatusField, Timestamped, Tone, choices_check


class Health(StatusChoices):
    UNKNOWN = "unknown", Tone.NEUTRAL, _("Not checked yet")
    HEALTHY = "healthy", Tone.SUCCESS, _("Healthy")
    FAILING = "failing", Tone.DANGER, _("Failing")


class Placement(models.TextChoices):
    PACK = "pack", _("Pack: the fullest node first")
    SPREAD = "spread", _("Spread: the emptiest node first")


class Provider(Entity, Timestamped):
    """A panel or cloud where servers run. Credentials are encrypted and never shown.

    Its kind names a registered driver (`servers.drivers.registry.register`), so a new driver changes no table.
    """

    tenancy = tenancy.PRIVATE

    kind = models.SlugField(max_length=16, db_index=False, validators=[RegisteredIn("servers.drivers.registry.facts")])
    name = models.CharField(max_length=100, unique=True)
    base_url = models.URLField(
        _("address"),
        max_length=191,
        blank=True,
        help_text=_("Such as https://panel.example.com. Empty: that of the cloud, where there is only one."),
    )
    credentials: Any = EncryptedJSONField(default=dict, blank=True)
    configuration: Any = models.JSONField(_("configuration"), default=dict, blank=True)
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Inactive providers are neither synced nor sold.")
    )
    placement = models.CharField(
        _("placement"),
        max_length=6,
        choices=Placement,
        default=Placement.PACK,
        help_text=_("Pack keeps room for large servers, spread shares the load."),
    )
    is_console_relayed = models.BooleanField(
        _("relay the console"),
        default=False,
        help_text=_(
            "For nodes that browsers cannot reach: they connect to the shop's relay, and that to the node. "
            "Without this, only nodes without TLS are relayed, because browsers refuse them."
        ),
    )
    health = StatusField(max_length=8, choices=Health, default=Health.UNKNOWN)
    health_note = models.CharField(_("problem"), max_length=255, blank=True, default="")
    checked_at = models.DateTimeField(_("last checked at"), null=True, blank=True)
    suspected_at = models.DateTimeField(
        _("servers missing at"),
        null=True,
        blank=True,
        help_text=_("Many servers that should be there were not found. Nothing is changed until they are."),
    )
    missing_accepted_until = models.DateTimeField(
        _("missing servers accepted until"),
        null=True,
        blank=True,
        help_text=_("Staff said that what is not found until then is really gone."),
    )

    class Meta:
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        constraints = [
            choices_check("servers_provider_health_known", "health", Health),
            choices_check("servers_provider_placement_known", "placement", Placement),
        ]

    def __str__(self) -> str:
        return self.name


class PanelAccount(Entity, Timestamped):
    """A user's account on a panel, found by exact external id and never by e-mail."""

    tenancy = tenancy.PERSONAL

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="panel_accounts", db_index=False
    )
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="accounts", db_index=False)
    ref = models.CharField(_("panel ID"), max_length=64)
    username = models.CharField(max_length=191, blank=True, default="")
    email = models.EmailField(
        _("email"), blank=True, default="", help_text=_("As the panel has it; empty until it was asked.")
    )
    is_panel_admin = models.BooleanField(_("administrator of the panel"), default=False)

    class Meta:
        verbose_name = _("panel account")
        verbose_name_plural = _("panel accounts")
        constraints = [
            models.UniqueConstraint(fields=["user", "provider"], name="servers_panel_account_once"),
            models.UniqueConstraint(fields=["provider", "ref"], name="servers_panel_account_of_one_user"),
        ]

    def __str__(self) -> str:
        return f"{self.username} ({self.ref})"
