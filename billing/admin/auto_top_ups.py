"""Automatic top-ups, which customers set on their wallet's page."""

from django.contrib import admin

from billing.models import AutoTopUp
from core.admin_base import ReadOnlyAdmin


@admin.register(AutoTopUp)
class AutoTopUpAdmin(ReadOnlyAdmin):
    """Who has their card charged when credit is low, and whose card was refused for good."""

    list_display = ("organization", "is_active", "below_minor", "amount_minor", "changed_at", "stopped_at")
    list_filter = ("is_active", "currency")
    list_select_related = ("organization",)
    search_fields = ("organization__name",)
    ordering = ("-changed_at",)
