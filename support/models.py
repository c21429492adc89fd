"""Messages to people about events, sent once by the worker."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core import tenancy
from core.encryption import EncryptedTextField
from core.models import Entity, RegisteredIn, WorkItem


class Delivery(Entity, WorkItem):
    """A message to one recipient over one channel.

    The channel names a registered one (`support.channels.register`), and the event one that is registered
    (`support.notifications`), so neither changes a table. The reference
    names event and row; a user is told of it once over each channel. The body may hold sign-in links, so it is
    encrypted, and emptied once sent.
    """

    tenancy = tenancy.PRIVATE

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    event = models.CharField(max_length=64, blank=True, default="")
    channel = models.SlugField(max_length=16, db_index=False, validators=[RegisteredIn("support.channels.registered")])
    reference = models.CharField(max_length=191, blank=True, default="")
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
        constraints = [
            *WorkItem.Meta.constraints,
            models.UniqueConstraint(
                fields=["reference", "user", "channel"],
                condition=~models.Q(reference=""),
                name="delivery_once_per_user_and_channel",
            ),
            models.CheckConstraint(
                condition=models.Q(reference="") | models.Q(user__isnull=False), name="delivery_reference_has_user"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject} → {self.recipient}"


class MessageTask(Entity, WorkItem):
    """Messages about many rows that one act wrote: composed by a worker, so that the act need not wait for them."""

    tenancy = tenancy.PRIVATE

    event = models.CharField(max_length=64)
    row_ids: Any = models.JSONField(_("rows"))
    happened_at = models.DateTimeField(_("happened at"))

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("messages to compose")
        verbose_name_plural = _("messages to compose")

    def __str__(self) -> str:
        return f"{self.event} × {len(self.row_ids)}"
