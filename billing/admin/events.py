"""The inbox of gateway webhooks."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from billing.models import GatewayEvent
from core.admin_base import WORK_FIELDS, WorkItemAdmin


@admin.register(GatewayEvent)
class GatewayEventAdmin(WorkItemAdmin):
    """Every verified webhook as received, and what came of it."""

    list_display = ("received_at", "type", "gateway", "state", "result", "attempts", "note", "last_error")
    list_filter = ("state", "result", "gateway", "type")
    search_fields = ("=event_id", "type", "note")
    date_hierarchy = "received_at"
    ordering = ("-received_at",)
    sections = (
        (None, ("type", "event_id", "gateway", "received_at", "result", "note")),
        (_("Work"), WORK_FIELDS),
        (_("Message"), ("payload",)),
    )
