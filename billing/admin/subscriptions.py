"""Subscriptions, at the prices they were sold for."""

from django.contrib import admin

from billing.models import Subscription, SubscriptionItem, UsageCycle
from core.admin_base import ReadOnlyAdmin, ReadOnlyInline


class SubscriptionItemInline(ReadOnlyInline):
    """The plan and the add-ons of a subscription."""

    model = SubscriptionItem
    columns = ("kind", "description", "quantity", "unit_minor", "currency", "valid_from", "valid_until")
    has_link = False


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    """What an organization pays for each period."""

    list_display = (
        "organization",
        "status",
        "amount_minor",
        "term",
        "current_period_end",
        "billing_mode",
        "created_at",
    )
    list_filter = ("status", "term", "billing_mode", "is_auto_renewed", "cancels_at_period_end", "currency")
    list_select_related = ("organization",)
    search_fields = ("organization__name", "=gateway_subscriptions__reference")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (SubscriptionItemInline,)


@admin.register(SubscriptionItem)
class SubscriptionItemAdmin(ReadOnlyAdmin):
    """Items of every subscription."""

    list_display = ("description", "organization", "kind", "quantity", "unit_minor", "valid_from", "valid_until")
    list_filter = ("kind", "currency")
    list_select_related = ("organization",)
    search_fields = ("description", "organization__name")


@admin.register(UsageCycle)
class UsageCycleAdmin(ReadOnlyAdmin):
    """Every hour that was charged, and the invoice that bills it."""

    list_display = ("hour", "subscription", "organization", "unit_minor", "currency", "invoice")
    list_filter = ("currency",)
    list_select_related = ("subscription", "organization", "invoice")
    search_fields = ("=subscription__id", "=invoice__number", "organization__name")
    ordering = ("-hour",)
