"""Django's own log of what was done on staff pages, to read."""

from django.contrib import admin
from django.contrib.admin.models import LogEntry

from core.staff import Record


@admin.register(LogEntry)
class LogEntryAdmin(Record):
    """Who pressed what on which page; the audit trail says what came of it."""

    list_display = ("action_time", "user", "content_type", "object_repr", "action_flag", "change_message")
    list_filter = ("action_flag", "content_type")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "user__email", "=object_id")
    date_hierarchy = "action_time"
