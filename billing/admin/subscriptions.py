"""Subscriptions at the prices they were sold at."""

from django.contrib import admin

from billing.models import Subscription, SubscriptionItem
from core.staff import Record, RecordInline


class SubscriptionItemInline(RecordInline):
    """The plan and the add-ons of a subscription."""

    model = SubscriptionItem
    names = ("kind", "description", "quantity", "unit_minor", "currency")
    is_linked = False


@admin.register(Subscription)
class SubscriptionAdmin(Record):
    """What renews."""

    list_display = (
        "organization",
        "status",
        "amount_minor",
        "term",
        "current_period_end",
        "billing_mode",
        "created_at",
    )
    list_filter = ("status", "term", "billing_mode", "is_auto_renewed", "currency")
    list_select_related = ("organization",)
    search_fields = ("organization__name", "=stripe_subscription_id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (SubscriptionItemInline,)


@admin.register(SubscriptionItem)
class SubscriptionItemAdmin(Record):
    """Items of every subscription."""

    list_display = ("description", "organization", "kind", "quantity", "unit_minor")
    list_filter = ("kind", "currency")
    list_select_related = ("organization",)
    search_fields = ("description", "organization__name")
