"""What belongs to a server and is only read: its holds, variables, journal and work."""

from django.contrib import admin

from core.staff import Record, WorkRecord
from servers.models import ProvisioningStep, ProvisioningTask, ServerHold, ServerVariable


@admin.register(ServerHold)
class ServerHoldAdmin(Record):
    """Why servers are, or were, kept suspended; placed and lifted on the server's page."""

    list_display = ("server", "kind", "reason", "placed_by", "placed_at", "lifted_at")
    list_filter = ("kind", ("lifted_at", admin.EmptyFieldListFilter))
    list_select_related = ("server", "placed_by")
    search_fields = ("server__name", "reason", "placed_by__email")
    date_hierarchy = "placed_at"
    ordering = ("-placed_at",)


@admin.register(ServerVariable)
class ServerVariableAdmin(Record):
    """What customers chose for their eggs' variables. Values may be secrets of theirs and are not listed."""

    list_display = ("server", "env_variable", "updated_at")
    list_filter = ("env_variable",)
    list_select_related = ("server",)
    search_fields = ("server__name", "env_variable")
    sections = ((None, ("organization", "server", "env_variable", "created_at", "updated_at")),)


@admin.register(ProvisioningStep)
class ProvisioningStepAdmin(Record):
    """The journal of every server."""

    list_display = ("at", "server", "step", "note")
    list_filter = ("step",)
    list_select_related = ("server",)
    search_fields = ("server__name", "note")
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(ProvisioningTask)
class ProvisioningTaskAdmin(WorkRecord):
    """Servers being carried towards what they should be."""

    list_display = ("server", "state", "attempts", "run_at", "last_error", "finished_at")
    list_select_related = ("server",)
    search_fields = ("server__name", "=server__id", "last_error")
