"""Regions, locations, nodes and how full they are, ports, and who reserved what."""

from typing import Any

from django.contrib import admin
from django.db.models import F
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.admin_base import ReadOnlyAdmin, ReadOnlyInline
from core.admin_base.columns import usage_bar
from servers import capacity, inventory
from servers.models import Allocation, Location, Node, Region, Reservation

SELLING = ("memory_headroom_mib", "disk_headroom_mib", "memory_overcommit_percent", "disk_overcommit_percent")


def placement_of(reservation: Reservation | None) -> SafeString:
    """The blueprint and node of a reservation, and the candidates that were refused, each on a line of its own."""
    lines = []
    if reservation is not None:
        lines = [f"{reservation.blueprint}: {reservation.node}", *capacity.describe(reservation.refused)]
    return format_html_join("", "{}<br>", ((line,) for line in lines))


class AllocationInline(ReadOnlyInline):
    """The ports of a reservation."""

    model = Allocation
    columns = ("ip", "alias", "port", "is_primary", "is_taken_elsewhere", "is_present")
    related = ("node",)


class ReservationInline(ReadOnlyInline):
    """Who reserved capacity on a node, the latest first."""

    model = Reservation
    columns = ("organization", "memory_mib", "disk_mib", "ports", "state", "expires_at", "created_at")
    related = ("organization",)
    ordering = ("state", "-created_at")
    per_page = 20


class LocationInline(ReadOnlyInline):
    """What providers have in a region."""

    model = Location
    columns = ("code", "name", "provider", "is_active", "is_present")
    related = ("provider",)


@admin.register(Region)
class RegionAdmin(ReadOnlyAdmin):
    """Where customers order servers. A location of a provider sells only in the region that it is assigned to."""

    editable = ("code", "city", "country", "latitude", "longitude", "position", "is_active")
    addable = editable
    list_display = ("city", "code", "country", "position", "is_active", "updated_at")
    list_filter = ("is_active", "country")
    search_fields = ("code", "city")
    inlines = (LocationInline,)


@admin.register(Location)
class LocationAdmin(ReadOnlyAdmin):
    """A location of a provider. Nothing is sold there until it is assigned to a region."""

    editable = ("region", "is_active")
    list_display = ("code", "name", "provider", "region", "is_active", "is_present", "updated_at")
    list_filter = ("provider", ("region", admin.EmptyFieldListFilter), "is_active", "is_present")
    list_select_related = ("provider", "region")
    search_fields = ("code", "name")


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    """A machine that servers are placed on."""

    editable = (*SELLING, "max_servers", "is_enabled", "is_draining")
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
        (_("Capacity for sale"), ("memory", "disk", *SELLING, "is_elastic", "max_servers", "servers_reserved")),
        (_("Machine"), ("memory_mib", "disk_mib", "memory_foreign_mib", "disk_foreign_mib")),
        (_("State"), ("is_in_maintenance", "is_present", "created_at", "updated_at")),
    )

    @admin.display(description=_("memory"), ordering=F("memory_reserved_mib") * 100 / (F("memory_sellable_mib") + 1))
    def memory(self, node: Node) -> SafeString:
        """Reserved of what can be sold."""
        return usage_bar(node.memory_reserved_mib, node.memory_sellable_mib)

    @admin.display(description=_("disk"), ordering=F("disk_reserved_mib") * 100 / (F("disk_sellable_mib") + 1))
    def disk(self, node: Node) -> SafeString:
        """Reserved of what can be sold."""
        return usage_bar(node.disk_reserved_mib, node.disk_sellable_mib)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: Any) -> None:
        """Recompute what can be sold; existing reservations stay."""
        if set(form.changed_data) & set(SELLING):
            inventory.lock_nodes(obj.provider_id)
        super().save_model(request, obj, form, change)
        if set(form.changed_data) & set(SELLING):
            inventory.update_sellable(obj.provider_id)


@admin.register(Allocation)
class AllocationAdmin(ReadOnlyAdmin):
    """Addresses and ports, and who reserved them."""

    list_display = ("address", "node", "is_primary", "is_taken_elsewhere", "is_present", "reservation")
    list_filter = ("node", "is_taken_elsewhere", "is_present", "is_primary")
    list_select_related = ("node", "reservation")
    search_fields = ("ip", "alias", "=port")


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    """Capacity reserved at checkout, confirmed once paid, released at the end."""

    list_display = (
        "organization",
        "blueprint",
        "node",
        "memory_mib",
        "disk_mib",
        "ports",
        "state",
        "expires_at",
        "created_at",
    )
    list_filter = ("state", "node")
    list_select_related = ("organization", "blueprint", "node")
    search_fields = ("organization__name", "node__name")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (AllocationInline,)
    sections = (
        (None, ("organization", "node", "placement", "state", "expires_at", "released_at")),
        (_("Size"), ("memory_mib", "disk_mib", "cpu_percent", "ports")),
        (_("Details"), ("id", "created_at", "updated_at")),
    )

    @admin.display(description=_("placement"))
    def placement(self, reservation: Reservation) -> SafeString:
        """See `placement_of`."""
        return placement_of(reservation)
