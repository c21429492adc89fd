"""Subscriptions, at the prices they were sold for."""

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import pausing
from billing.models import Subscription, SubscriptionItem, SubscriptionPause, UsageCycle
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, ReadOnlyInline, ReasonForm, StaffAction


def end_pause(row: Subscription, context: ActionContext) -> str:
    """Let a subscription that pauses go on, as its customer asked."""
    pausing.end_pause(subscription=row, reason=context.data["reason"], actor=context.user, at=context.at)
    row.refresh_from_db(fields=["pauses_until"])
    if row.pauses_until is not None:
        raise ActionError(_("It is canceled, so nothing was changed."))
    return _("It goes on.")


class SubscriptionItemInline(ReadOnlyInline):
    """The plan and the add-ons of a subscription."""

    model = SubscriptionItem
    columns = ("kind", "description", "quantity", "unit_minor", "currency", "valid_from", "valid_until")
    has_link = False


class SubscriptionPauseInline(ReadOnlyInline):
    """When nothing was billed, as its customer wanted."""

    model = SubscriptionPause
    columns = ("begun_at", "ended_at")
    has_link = False


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    """What an organization pays for each period."""

    list_display = ("organization", "label", "status", "amount_minor", "term", "current_period_end", "billing_mode")
    list_filter = ("status", "term", "billing_mode", "is_auto_renewed", "cancels_at_period_end", "currency")
    list_select_related = ("organization",)
    search_fields = ("organization__name", "label", "=gateway_subscriptions__reference")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (SubscriptionItemInline, SubscriptionPauseInline)
    staff_actions = (
        StaffAction(
            name="end-pause",
            label=gettext_lazy("End pause"),
            run=end_pause,
            permissions=("billing.change_subscription",),
            description=gettext_lazy(
                "The subscription goes on now. Its next period is billed with the next run, and the server starts when"
                " that is paid. A pause that has not begun is withdrawn."
            ),
            form=ReasonForm,
            is_available=lambda row: row.pauses_until is not None and not row.cancels_at_period_end,
        ),
    )


@admin.register(SubscriptionItem)
class SubscriptionItemAdmin(ReadOnlyAdmin):
    """Items of every subscription."""

    list_display = ("description", "organization", "kind", "quantity", "unit_minor", "valid_from", "valid_until")
    list_filter = ("kind", "currency")
    list_select_related = ("organization",)
    search_fields = ("description", "organization__name")


@admin.register(SubscriptionPause)
class SubscriptionPauseAdmin(ReadOnlyAdmin):
    """Every pause that customers took."""

    list_display = ("begun_at", "ended_at", "subscription", "organization")
    list_select_related = ("subscription", "organization")
    search_fields = ("=subscription__id", "organization__name")


@admin.register(UsageCycle)
class UsageCycleAdmin(ReadOnlyAdmin):
    """Every hour that was charged, and the invoice that bills it."""

    list_display = ("hour", "subscription", "organization", "unit_minor", "currency", "invoice")
    list_filter = ("currency",)
    list_select_related = ("subscription", "organization", "invoice")
    search_fields = ("=subscription__id", "=invoice__number", "organization__name")
    ordering = ("-hour",)
