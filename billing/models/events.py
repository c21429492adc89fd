"""The inbox: every signed webhook as it came, once, before anything is done about it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models.payments import Gateway
from core import tenancy
from core.models import Entity, WorkItem


class EventResult(models.TextChoices):
    PENDING = "", _("Not processed yet")
    PROCESSED = "processed", _("Processed")
    IGNORED = "ignored", _("Unknown type, kept")
    UNRELATED = "unrelated", _("Not about anything of ours")
    UNDER_REVIEW = "under_review", _("Under review")


class GatewayEvent(Entity, WorkItem):
    """A gateway's message. The worker reads the object again from the gateway and never believes this copy."""

    tenancy = tenancy.PRIVATE

    gateway = models.CharField(max_length=16, choices=Gateway)
    event_id = models.CharField(max_length=191)
    type = models.CharField(max_length=100)
    payload = models.JSONField()
    received_at = models.DateTimeField()
    result = models.CharField(max_length=12, choices=EventResult, default=EventResult.PENDING, blank=True)
    note = models.CharField(max_length=255, blank=True, default="")

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("gateway event")
        verbose_name_plural = _("gateway events")
        constraints = [
            *WorkItem.Meta.constraints,
            models.UniqueConstraint(fields=["gateway", "event_id"], name="billing_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
