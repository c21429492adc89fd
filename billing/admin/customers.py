"""What a payment gateway stores about an organization."""

from django.contrib import admin

from billing.models import GatewayCustomer, MethodTask, PaymentMethod
from core.admin_base import ReadOnlyAdmin, WorkItemAdmin


@admin.register(GatewayCustomer)
class GatewayCustomerAdmin(ReadOnlyAdmin):
    """An organization's customer record at a gateway."""

    list_display = ("organization", "gateway", "reference", "created_at")
    list_filter = ("gateway",)
    list_select_related = ("organization",)
    search_fields = ("organization__name", "=reference")


@admin.register(PaymentMethod)
class PaymentMethodAdmin(ReadOnlyAdmin):
    """Saved cards, by their last four digits."""

    list_display = (
        "organization",
        "gateway",
        "brand",
        "last4",
        "expires_on",
        "is_default",
        "detached_at",
        "created_at",
    )
    list_filter = ("gateway", "brand", "is_default")
    list_select_related = ("organization",)
    search_fields = ("organization__name", "=last4", "=reference")


@admin.register(MethodTask)
class MethodTaskAdmin(WorkItemAdmin):
    """The work of removing saved methods at their gateways."""

    list_display = ("created_at", "method", "state", "attempts", "run_at", "last_error", "finished_at")
    list_select_related = ("method",)
    search_fields = ("=method__id", "method__organization__name", "last_error")
