"""The admin of affiliates."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from core.admin_base import ReadOnlyAdmin
from orders.affiliates.models import Affiliate, AffiliateClicks, CommissionPayout, Referral


@admin.register(Affiliate)
class AffiliateAdmin(ReadOnlyAdmin):
    """Customers with a link of their own."""

    editable = ("code", "is_active")
    list_display = ("code", "organization", "is_active", "click_count", "sign_up_count", "referral_count", "created_at")
    list_filter = ("is_active",)
    list_select_related = ("organization",)
    search_fields = ("code", "organization__name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the numbers of clicks, sign-ups and orders."""
        days = AffiliateClicks.objects.filter(affiliate=OuterRef("pk")).order_by().values("affiliate")
        clicks, sign_ups = (
            Subquery(days.annotate(total=Sum(column)).values("total")) for column in ("count", "sign_ups")
        )
        rows: QuerySet[Any] = super().get_queryset(request).annotate(referral_total=Count("referrals"))
        counted: QuerySet[Any] = rows.annotate(click_total=clicks, sign_up_total=sign_ups)
        return counted

    @admin.display(description=_("clicks"))
    def click_count(self, row: Any) -> int:
        """How often the link was followed."""
        return row.click_total or 0

    @admin.display(description=_("sign-ups"))
    def sign_up_count(self, row: Any) -> int:
        """How many signed up after following the link."""
        return row.sign_up_total or 0

    @admin.display(description=_("first orders"))
    def referral_count(self, row: Any) -> int:
        """How many customers came by it and paid."""
        return row.referral_total or 0


@admin.register(AffiliateClicks)
class AffiliateClicksAdmin(ReadOnlyAdmin):
    """How often links were followed, by day."""

    list_display = ("affiliate", "clicked_on", "count", "sign_ups")
    list_select_related = ("affiliate",)
    search_fields = ("affiliate__code",)
    date_hierarchy = "clicked_on"


@admin.register(Referral)
class ReferralAdmin(ReadOnlyAdmin):
    """Customers whom an affiliate brought, and the commission for it."""

    list_display = ("affiliate", "customer", "order", "status", "reason", "commission_minor", "hold_until")
    list_filter = ("status", "currency")
    list_select_related = ("affiliate", "customer", "order")
    search_fields = ("affiliate__code", "customer__name", "order__number")
    date_hierarchy = "paid_at"


@admin.register(CommissionPayout)
class CommissionPayoutAdmin(ReadOnlyAdmin):
    """Commission that was moved to wallets."""

    list_display = (
        "affiliate",
        "organization",
        "amount_minor",
        "currency",
        "paid_minor",
        "paid_currency",
        "paid_out_at",
    )
    list_filter = ("currency",)
    list_select_related = ("affiliate", "organization")
    search_fields = ("affiliate__code", "organization__name")
