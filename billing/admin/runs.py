"""Billing runs and the reminders that they sent."""

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from billing.models import Reminder, Run
from core.admin_base import ReadOnlyAdmin


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """What each run did, how long it took, and what it left out and why."""

    list_display = ("started_at", "kind", "state", "at", "duration", "counts")
    list_filter = ("kind", "state")
    search_fields = ("=id",)
    date_hierarchy = "started_at"
    ordering = ("-started_at",)

    @admin.display(description=_("duration"))
    def duration(self, row: Any) -> str:
        """How long it took; a dash while it runs."""
        return "–" if row.ended_at is None else f"{(row.ended_at - row.started_at).total_seconds():.1f} s"


@admin.register(Reminder)
class ReminderAdmin(ReadOnlyAdmin):
    """Of which invoice or wallet was reminded when, and the dates that were told."""

    list_display = ("sent_at", "invoice", "wallet", "organization", "stage", "suspends_at", "deletes_at")
    list_filter = ("stage",)
    list_select_related = ("invoice", "wallet", "organization")
    search_fields = ("=invoice__number", "organization__name")
    date_hierarchy = "sent_at"
    ordering = ("-sent_at",)
