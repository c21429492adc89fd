"""The admin of outgoing messages."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from core.admin_base import WORK_FIELDS, WorkItemAdmin
from support.models import Delivery, MessageTask


@admin.register(Delivery)
class DeliveryAdmin(WorkItemAdmin):
    """Messages, each sent once. Bodies may hold sign-in links and are never shown."""

    list_display = (
        "created_at",
        "event",
        "subject",
        "recipient",
        "channel",
        "state",
        "attempts",
        "sent_at",
        "last_error",
    )
    list_filter = ("state", "channel", "event")
    search_fields = ("recipient", "subject", "=message_id", "=reference", "user__email")
    sections = (
        (
            None,
            (
                "event",
                "organization",
                "user",
                "channel",
                "recipient",
                "sender",
                "subject",
                "reference",
                "message_id",
                "sent_at",
            ),
        ),
        (_("Content"), ("body", "html_body")),
        (_("Work"), WORK_FIELDS),
    )


@admin.register(MessageTask)
class MessageTaskAdmin(WorkItemAdmin):
    """Messages about many rows that are yet to be composed."""

    list_display = ("created_at", "event", "state", "attempts", "last_error")
    list_filter = ("state", "event")
    search_fields = ("event",)
    sections = ((None, ("event", "happened_at", "row_ids")), (_("Work"), WORK_FIELDS))
