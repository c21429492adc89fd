"""What reconciliation with a gateway remembers: how far each of its lists was read."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models.gateways import Gateway
from core import tenancy
from core.models import Entity, Timestamped, choices_check


class CursorType(models.TextChoices):
    EVENTS = "events", _("Events")


class GatewayCursor(Entity, Timestamped):
    """How far one of a gateway's lists was read: everything created before `read_until` is stored here."""

    tenancy = tenancy.PRIVATE

    gateway = models.CharField(max_length=16, choices=Gateway)
    type = models.CharField(max_length=24, choices=CursorType)
    read_until = models.DateTimeField()

    class Meta:
        verbose_name = _("gateway cursor")
        verbose_name_plural = _("gateway cursors")
        constraints = [
            models.UniqueConstraint(fields=["gateway", "type"], name="billing_cursor_once"),
            choices_check("billing_cursor_type_known", "type", CursorType),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.type}"
