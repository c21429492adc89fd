"""The admin of the waitlist."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse

from core.admin_base import ReadOnlyAdmin
from orders.waitlist.models import OPEN, WaitlistEntry, WaitlistStatus


@admin.register(WaitlistEntry)
class WaitlistEntryAdmin(ReadOnlyAdmin):
    """Who waits for which plan where, the first of a line first; above it how many wait for each."""

    list_before_template = "admin/waitlist_counts.html"
    list_display = ("plan", "region", "organization", "status", "joined_at", "offered_at", "expires_at")
    list_filter = ("status", "plan", "region")
    list_select_related = ("plan__product", "region", "organization")
    search_fields = ("organization__name", "plan__code")
    ordering = ("joined_at", "pk")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list, with the number of those who wait, and for whom it is reserved, by plan and region."""
        waiting = WaitlistEntry.objects.filter(status__in=OPEN).order_by("plan__code", "region__code")
        counted = waiting.values("plan__product__name", "plan__name", "region__city").annotate(
            waiting=Count("pk", filter=Q(status=WaitlistStatus.WAITING)),
            offered=Count("pk", filter=Q(status=WaitlistStatus.OFFERED)),
        )
        return super().changelist_view(request, {**(extra_context or {}), "waitlist_counts": counted})  # type: ignore[no-any-return]
