"""The admin of servers that go to another organization."""

from django.contrib import admin

from core.admin_base import ReadOnlyAdmin
from orders.transfers.models import ServerTransfer


@admin.register(ServerTransfer)
class ServerTransferAdmin(ReadOnlyAdmin):
    """Which servers were offered to whom, and who took them."""

    list_display = ("server_name", "organization", "recipient", "new_organization", "status", "offered_at", "ended_at")
    list_filter = ("status",)
    list_select_related = ("organization", "recipient", "new_organization")
    search_fields = ("server_name", "organization__name", "recipient__email")
    date_hierarchy = "offered_at"
