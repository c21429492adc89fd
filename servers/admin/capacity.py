"""Regions, locations, nodes and how full they are, ports, and who reserved what."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import F
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import clock
from core.admin_base import ActionContext, ActionForm, ReadOnlyAdmin, ReadOnlyInline, StaffAction
from core.admin_base.columns import usage_bar
from servers import capacity, draining, inventory
from servers.live import neighbours
from servers.models import Allocation, Location, Node, Region, Reservation, ReservationState, ServerMove

SELLING = ("memory_headroom_mib", "disk_headroom_mib", "memory_overcommit_percent", "disk_overcommit_percent")

MAX_NAMED = 10


def placement_of(reservation: Reservation | None) -> SafeString:
    """The blueprint and node of a reservation, and the candidates that were refused, each on a line of its own."""
    lines = []
    if reservation is not None:
        lines = [f"{reservation.blueprint}: {reservation.node}", *filter(None, [reservation.choice])]
        lines += capacity.describe(reservation.refused)
    return format_html_join("", "{}<br>", ((line,) for line in lines))


def lines_of(rows: Iterable[tuple[str, str, UUID]]) -> SafeString:
    """Servers with a figure each, a link on a line of its own; a dash where there is none."""
    linked = [(reverse("admin:servers_server_change", args=[pk]), name, figure) for name, figure, pk in rows]
    return format_html_join("", '<a class="text-link" href="{}">{}</a> {}<br>', linked) or SafeString("–")


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


class MoveInline(ReadOnlyInline):
    """How far a drain is: where capacity is reserved for each server, or why no node takes it."""

    model = ServerMove
    fk_name = "node"
    columns = ("server", "reserved_on", "problem", "asked_at", "moved_at", "canceled_at")
    related = ("server__node", "reservation__node")
    ordering = ("moved_at", "canceled_at", "server__name")
    has_link = False
    per_page = 50

    @admin.display(description=gettext_lazy("to"))
    def reserved_on(self, move: ServerMove) -> str:
        """Where it went; until then, the node and the port that are reserved for it."""
        if move.moved_at is not None or move.reservation is None:
            return str(move.server.node or "") if move.moved_at else "–"
        if move.reservation.state != ReservationState.RESERVED:
            return "–"
        ports = ", ".join(str(port) for port in move.reservation.allocations.all())
        return " · ".join(filter(None, [str(move.reservation.node), ports]))

    def get_queryset(self, request: HttpRequest) -> Any:
        """With the ports that are reserved."""
        return super().get_queryset(request).prefetch_related("reservation__allocations")


class DrainForm(ActionForm):
    """Shows server by server where each would go, before anything is done."""

    form_before_template = "admin/drain_plan.html"

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        """The plan, as of now."""
        moves = draining.plan(self.row)
        context = {
            "moves": moves,
            "stuck": sum(not move.target for move in moves),
            "instruction": draining.how_to_move(self.row),
            "staying": 0 if moves else draining.servers_of(self.row).count(),
        }
        return super().get_before_template_context(request, object_id) | context


def drain(node: Node, context: ActionContext) -> str:
    """Sell nothing more there, and reserve elsewhere for its servers."""
    draining.start(node=node, actor=context.user, at=context.at)
    return _("Nothing more is sold on %(node)s. Below you see how far its servers are.") % {"node": node}


def cancel_drain(node: Node, context: ActionContext) -> str:
    """Sell there again, and release what is reserved elsewhere."""
    draining.cancel(node=node, actor=context.user, at=context.at)
    return _("%(node)s is sold again. What was moved stays where it is.") % {"node": node}


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    """A machine that servers are placed on."""

    editable = (*SELLING, "max_servers", "tags", "cpu_cores", "is_enabled", "is_draining")
    list_display = (
        "name",
        "location",
        "memory",
        "disk",
        "is_enabled",
        "is_draining",
        "is_in_maintenance",
        "unreachable_since",
        "is_present",
    )
    list_filter = ("provider", "location", "is_enabled", "is_draining", "is_in_maintenance", "is_present")
    list_select_related = ("location",)
    search_fields = ("name", "=ref")
    inlines = (MoveInline, ReservationInline)
    staff_actions = (
        StaffAction(
            name="drain",
            label=gettext_lazy("Drain"),
            run=drain,
            permissions=("servers.change_node",),
            form=DrainForm,
            description=gettext_lazy("Sells nothing more here, and reserves capacity on other nodes for its servers."),
            is_available=lambda node: node.drain_asked_at is None,
            icon="move_down",
        ),
        StaffAction(
            name="cancel_drain",
            label=gettext_lazy("Stop draining"),
            run=cancel_drain,
            permissions=("servers.change_node",),
            description=gettext_lazy("Sells here again, and releases what is reserved elsewhere for its servers."),
            is_available=lambda node: node.drain_asked_at is not None,
            icon="undo",
        ),
    )
    sections = (
        (None, ("name", "provider", "location", "ref", "is_enabled", "is_draining", "drain_asked_at")),
        (
            gettext_lazy("Capacity for sale"),
            ("memory", "disk", *SELLING, "is_elastic", "max_servers", "servers_reserved"),
        ),
        (gettext_lazy("The last hour"), ("noisy", "full")),
        (gettext_lazy("Placement"), ("tags", "cpu_cores", "busy_at")),
        (gettext_lazy("Machine"), ("memory_mib", "disk_mib", "memory_foreign_mib", "disk_foreign_mib")),
        (gettext_lazy("State"), ("is_in_maintenance", "unreachable_since", "is_present", "created_at", "updated_at")),
    )

    @admin.display(
        description=gettext_lazy("memory"), ordering=F("memory_reserved_mib") * 100 / (F("memory_sellable_mib") + 1)
    )
    def memory(self, node: Node) -> SafeString:
        """Reserved of what can be sold."""
        return usage_bar(node.memory_reserved_mib, node.memory_sellable_mib)

    @admin.display(
        description=gettext_lazy("disk"), ordering=F("disk_reserved_mib") * 100 / (F("disk_sellable_mib") + 1)
    )
    def disk(self, node: Node) -> SafeString:
        """Reserved of what can be sold."""
        return usage_bar(node.disk_reserved_mib, node.disk_sellable_mib)

    @admin.display(description=gettext_lazy("more than their share of CPU"))
    def noisy(self, node: Node) -> SafeString:
        """See `neighbours`."""
        rows = neighbours.noisy_neighbours(at=clock.now(), limit=MAX_NAMED, node=node)
        return lines_of((row.name, f"{row.cpu_percent} % / {row.bought_percent} %", row.server_id) for row in rows)

    @admin.display(description=gettext_lazy("disks nearly full"))
    def full(self, node: Node) -> SafeString:
        """See `neighbours`."""
        rows = neighbours.full_disks(at=clock.now(), limit=MAX_NAMED, node=node)
        return lines_of((row.name, f"{row.percent} %", row.server_id) for row in rows)

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


@admin.register(ServerMove)
class ServerMoveAdmin(ReadOnlyAdmin):
    """Servers that are to leave their nodes, and what is reserved for them elsewhere."""

    list_display = ("server", "node", "asked_at", "moved_at", "canceled_at")
    list_filter = ("node",)
    list_select_related = ("server", "node")
    search_fields = ("server__name", "=server__id")


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
        (gettext_lazy("Size"), ("memory_mib", "disk_mib", "cpu_percent", "ports")),
        (gettext_lazy("Details"), ("id", "created_at", "updated_at")),
    )

    @admin.display(description=gettext_lazy("placement"))
    def placement(self, reservation: Reservation) -> SafeString:
        """See `placement_of`."""
        return placement_of(reservation)
