"""What a payment gateway stores about an organization."""

from django.contrib import admin

from billing.models import GatewayCustomer, PaymentMethod
from core.admin_base import ReadOnlyAdmin


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

    list_display = ("organization", "gateway", "brand", "last4", "expires_on", "is_default", "created_at")
    list_filter = ("gateway", "brand", "is_default")
    list_select_related = ("organization",)
    search_fields = ("organization__name", "=last4", "=reference")
