"""Messages to customers, sent once by the worker."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.encryption import EncryptedTextField
from core.models import Entity, WorkItem


class Channel(models.TextChoices):
    EMAIL = "email", _("E-mail")


class Delivery(Entity, WorkItem):
    """A message to one recipient. The body may hold sign-in links, so it is encrypted, and emptied once sent."""

    tenancy = tenancy.PRIVATE

    channel = models.CharField(max_length=8, choices=Channel, default=Channel.EMAIL)
    reference = models.CharField(max_length=191, null=True, blank=True, unique=True)
    recipient = models.CharField(_("to"), max_length=191)
    sender = models.CharField(_("from"), max_length=191)
    subject = models.CharField(max_length=255)
    body = EncryptedTextField(blank=True, default="")
    html_body = EncryptedTextField(_("HTML body"), blank=True, default="")
    headers: Any = models.JSONField(default=dict, blank=True)
    message_id = models.CharField(_("message ID"), max_length=191)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")

    def __str__(self) -> str:
        return f"{self.subject} → {self.recipient}"
