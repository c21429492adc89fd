"""What belongs to servers, read-only: holds, variables, access, the provisioning log and the work tables."""

from django.contrib import admin

from core.admin_base import ReadOnlyAdmin, WorkItemAdmin
from servers.models import (
    Listing,
    Operation,
    PowerTask,
    ProvisioningStep,
    ProvisioningTask,
    ServerAccess,
    ServerHold,
    ServerVariable,
    UsageBucket,
    UsageSample,
    UsageTask,
)


@admin.register(ServerHold)
class ServerHoldAdmin(ReadOnlyAdmin):
    """Why servers are or were suspended. Holds are placed and lifted on the server's page."""

    list_display = ("server", "kind", "reason", "placed_by", "placed_at", "lifted_at")
    list_filter = ("kind", ("lifted_at", admin.EmptyFieldListFilter))
    list_select_related = ("server", "placed_by")
    search_fields = ("server__name", "reason", "placed_by__email")
    date_hierarchy = "placed_at"
    ordering = ("-placed_at",)


@admin.register(ServerVariable)
class ServerVariableAdmin(ReadOnlyAdmin):
    """What customers configured. Values may be the customer's secrets and are not shown."""

    list_display = ("server", "env_variable", "updated_at")
    list_filter = ("env_variable",)
    list_select_related = ("server",)
    search_fields = ("server__name", "env_variable")
    sections = ((None, ("organization", "server", "env_variable", "created_at", "updated_at")),)


@admin.register(ServerAccess)
class ServerAccessAdmin(ReadOnlyAdmin):
    """What plain members of an organization may do with its servers."""

    list_display = ("server", "user", "level", "created_at")
    list_filter = ("level",)
    list_select_related = ("server", "user")
    search_fields = ("server__name", "user__email")


@admin.register(ProvisioningStep)
class ProvisioningStepAdmin(ReadOnlyAdmin):
    """The provisioning log of every server."""

    list_display = ("at", "server", "step", "note")
    list_filter = ("step",)
    list_select_related = ("server",)
    search_fields = ("server__name", "note")
    date_hierarchy = "at"
    ordering = ("-at",)


@admin.register(ProvisioningTask)
class ProvisioningTaskAdmin(WorkItemAdmin):
    """The work of converging servers."""

    list_display = ("server", "state", "attempts", "run_at", "last_error", "finished_at")
    list_select_related = ("server",)
    search_fields = ("server__name", "=server__id", "last_error")


@admin.register(PowerTask)
class PowerTaskAdmin(WorkItemAdmin):
    """The latest power action that was requested of each server."""

    list_display = ("server", "action", "requested_by", "requested_at", "state", "outcome", "last_error")
    list_filter = ("state", "outcome", "action")
    list_select_related = ("server", "requested_by")
    search_fields = ("server__name", "=server__id", "last_error")


@admin.register(UsageTask)
class UsageTaskAdmin(WorkItemAdmin):
    """The servers whose pages are looked at, and what hinders sampling their usage."""

    list_display = ("server", "state", "watched_until", "attempts", "run_at", "last_error")
    list_select_related = ("server",)
    search_fields = ("server__name", "=server__id", "last_error")


@admin.register(Listing)
class ListingAdmin(WorkItemAdmin):
    """What providers last told of what is inside servers. The contents are customers', and are not shown."""

    list_display = ("server", "kind", "target", "read_at", "problem", "state", "last_error")
    list_filter = ("kind", "state")
    list_select_related = ("server",)
    search_fields = ("server__name", "=server__id", "target")


@admin.register(Operation)
class OperationAdmin(WorkItemAdmin):
    """What customers asked for inside their servers, and how that ended."""

    list_display = ("server", "kind", "target", "requested_by", "requested_at", "state", "outcome", "message")
    list_filter = ("kind", "outcome", "state")
    list_select_related = ("server", "requested_by")
    search_fields = ("server__name", "=server__id", "target", "last_error")
    date_hierarchy = "requested_at"


@admin.register(UsageBucket)
class UsageBucketAdmin(ReadOnlyAdmin):
    """What servers used in the last week, rolled up."""

    list_display = ("starts_at", "server", "minutes", "samples", "cpu_sum", "memory_sum_mib", "disk_mib")
    list_filter = ("minutes",)
    list_select_related = ("server",)
    search_fields = ("server__name",)
    ordering = ("-starts_at",)


@admin.register(UsageSample)
class UsageSampleAdmin(ReadOnlyAdmin):
    """What watched servers used in the last minutes."""

    list_display = ("at", "server", "power_state", "cpu_percent", "memory_mib", "disk_mib", "uptime_seconds", "players")
    list_filter = ("power_state",)
    list_select_related = ("server",)
    search_fields = ("server__name",)
    ordering = ("-at",)
