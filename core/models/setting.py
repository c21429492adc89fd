"""Settings that staff change at runtime; `core.site_settings` says which keys exist and what they may hold."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.models.base import Timestamped, choices_check
from core.tenancy.declarations import SHARED


class SettingType(models.TextChoices):
    STRING = "string", _("One line")
    TEXT = "text", _("Text")
    INTEGER = "integer", _("Whole number")
    BOOLEAN = "boolean", _("Yes or no")
    DECIMAL = "decimal", _("Decimal number")
    CHOICE = "choice", _("Choice")
    HUE = "hue", _("Colour hue")
    EMAIL = "email", _("E-mail address")
    URL = "url", _("Web address")
    DURATION = "duration", _("Duration in seconds")


class Setting(Timestamped):
    """The stored value of one key; null means the default. Holds no secrets: every role may read it."""

    tenancy = SHARED

    key = models.CharField(max_length=100, primary_key=True)
    value = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    type = models.CharField(max_length=10, choices=SettingType)
    category = models.CharField(max_length=50)
    description = models.TextField(blank=True, default="")
    is_public = models.BooleanField(_("public"), default=False)

    class Meta:
        ordering = ["category", "key"]
        constraints = [choices_check("core_setting_type_known", "type", SettingType)]

    def __str__(self) -> str:
        return self.key
