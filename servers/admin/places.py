"""Where machines stand, how full nodes are, and who holds which room."""

from typing import Any

from django.contrib import admin
from django.db.models import F
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core import formats
from core.staff import Record, RecordInline
from servers import inventory
from servers.models import Allocation, Location, Node, Reservation

SELLING = ("memory_headroom_mib", "disk_headroom_mib", "memory_overcommit_percent", "disk_overcommit_percent")


def meter(held: int, sellable: int) -> SafeString:
    """How full, as a bar and in words."""
    percent = min(100, held * 100 // sellable) if sellable else 0
    tone = "bg-red-600" if percent >= 95 else "bg-orange-500" if percent >= 80 else "bg-primary-600"
    return format_html(
        '<span class="flex items-center gap-2 whitespace-nowrap"><span class="block h-1.5 w-24 rounded-default'
        ' overflow-hidden bg-base-200 dark:bg-base-700"><span class="block h-1.5 {}" style="width:{}%"></span></span>'
        "{} / {}</span>",
        tone,
        percent,
        formats.size(held),
        formats.size(sellable),
    )


class AllocationInline(RecordInline):
    """The ports that a reservation holds."""

    model = Allocation
    names = ("ip", "alias", "port", "is_primary", "is_taken_elsewhere", "is_present")
    related = ("node",)


class ReservationInline(RecordInline):
    """Who holds room on a node, the latest first."""

    model = Reservation
    names = ("organization", "memory_mib", "disk_mib", "ports", "state", "expires_at", "created_at")
    related = ("organization",)
    ordering = ("state", "-created_at")
    per_page = 20


@admin.register(Location)
class LocationAdmin(Record):
    """A region of a provider; inactive ones are not offered."""

    editable = ("is_active",)
    list_display = ("code", "name", "provider", "is_active", "is_present", "updated_at")
    list_filter = ("provider", "is_active", "is_present")
    list_select_related = ("provider",)
    search_fields = ("code", "name")


@admin.register(Node)
class NodeAdmin(Record):
    """A machine that servers are placed on."""

    editable = (*SELLING, "is_enabled", "is_draining")
    list_display = (
        "name",
        "location",
        "memory",
        "disk",
        "is_enabled",
        "is_draining",
        "is_in_maintenance",
        "is_present",
    )
    list_filter = ("provider", "location", "is_enabled", "is_draining", "is_in_maintenance", "is_present")
    list_select_related = ("location",)
    search_fields = ("name", "=ref")
    inlines = (ReservationInline,)
    sections = (
        (None, ("name", "provider", "location", "ref", "is_enabled", "is_draining")),
        (_("What can be sold"), ("memory", "disk", *SELLING)),
        (_("Machine"), ("memory_mib", "disk_mib", "memory_foreign_mib", "disk_foreign_mib")),
        (_("Record"), ("is_in_maintenance", "is_present", "created_at", "updated_at")),
    )

    @admin.display(description=_("memory"), ordering=F("memory_reserved_mib") * 100 / (F("memory_sellable_mib") + 1))
    def memory(self, node: Node) -> SafeString:
        """Held of what can be sold."""
        return meter(node.memory_reserved_mib, node.memory_sellable_mib)

    @admin.display(description=_("disk"), ordering=F("disk_reserved_mib") * 100 / (F("disk_sellable_mib") + 1))
    def disk(self, node: Node) -> SafeString:
        """Held of what can be sold."""
        return meter(node.disk_reserved_mib, node.disk_sellable_mib)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: Any) -> None:
        """What can be sold follows at once; what is held already stays held."""
        super().save_model(request, obj, form, change)
        if set(form.changed_data) & set(SELLING):
            inventory.update_sellable(obj.provider_id)


@admin.register(Allocation)
class AllocationAdmin(Record):
    """Addresses and ports, and who holds them."""

    list_display = ("address", "node", "is_primary", "is_taken_elsewhere", "is_present", "reservation")
    list_filter = ("node", "is_taken_elsewhere", "is_present", "is_primary")
    list_select_related = ("node", "reservation")
    search_fields = ("ip", "alias", "=port")


@admin.register(Reservation)
class ReservationAdmin(Record):
    """Room held for checkout, kept once paid, given back once."""

    list_display = ("organization", "node", "memory_mib", "disk_mib", "ports", "state", "expires_at", "created_at")
    list_filter = ("state", "node")
    list_select_related = ("organization", "node")
    search_fields = ("organization__name", "node__name")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (AllocationInline,)
