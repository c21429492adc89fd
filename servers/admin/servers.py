"""Servers: what they should be, what the panel last said, and their staff actions."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from core import audit
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, ReadOnlyInline, ReasonForm, StaffAction
from servers import services
from servers.admin.capacity import placement_of
from servers.admin.refused_variables import CORRECT_VARIABLES
from servers.models import (
    DesiredState,
    HoldKind,
    HytaleSession,
    ProvisioningStep,
    ProvisioningTask,
    Server,
    ServerHold,
    ServerStatus,
    ServerVariable,
)

LIVING = {status for status in ServerStatus if status not in {ServerStatus.DELETING, ServerStatus.DELETED}}


class LiftForm(ReasonForm):
    """Which of the active holds."""

    kind = forms.ChoiceField(label=gettext_lazy("Hold"), widget=UnfoldAdminSelectWidget)
    field_order = ("kind", "reason")

    def __init__(self, *args: Any, row: Server, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        holds = row.holds.filter(lifted_at=None)
        self.fields["kind"].choices = [(hold.kind, f"{hold.get_kind_display()}: {hold.reason}") for hold in holds]


class DeleteForm(ReasonForm):
    """Asks for the server's name, so that no server is deleted by a slip."""

    name = forms.CharField(label=gettext_lazy("Server name"), widget=UnfoldAdminTextInputWidget)
    field_order = ("name", "reason")

    def __init__(self, *args: Any, row: Server, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        # unfold prints help texts unescaped, and customers choose the name.
        self.fields["name"].help_text = format_html(_("Enter {} to confirm."), row.name)

    def clean_name(self) -> str:
        """Exactly the server's name."""
        name: str = self.cleaned_data["name"]
        if name != self.row.name:
            raise forms.ValidationError(_("This is not the server's name."))
        return name


def suspend(server: Server, context: ActionContext) -> str:
    """Place a manual hold."""
    services.hold_servers(
        server_ids=[server.pk], kind=HoldKind.MANUAL, reason=context.data["reason"], actor=context.user, at=context.at
    )
    return _("%(server)s is being suspended.") % {"server": server}


def lift_hold(server: Server, context: ActionContext) -> str:
    """Lift one hold; others keep the server suspended."""
    kind = HoldKind(context.data["kind"])
    if not services.lift_holds(server_ids=[server.pk], kind=kind, actor=context.user, at=context.at):
        raise ActionError(_("This hold was lifted already."))
    audit_reason("server.lift_hold_reason", server, context)
    count = server.holds.filter(lifted_at=None).count()
    return _("Lifted. %(count)s other hold(s) still suspend the server.") % {"count": count} if count else _("Lifted.")


def converge(server: Server, context: ActionContext) -> str:
    """Ask for convergence; a failed server is tried again. One that is gone there is only looked for."""
    if server.status == ServerStatus.FAILED and server.vanished_at is None:
        services.retry(server_id=server.pk, actor=context.user, at=context.at)
    else:
        services.request_convergence(server_ids=[server.pk], at=context.at)
        audit.record_informational(action="server.converge", entity=server, actor=context.user, at=context.at)
    return _("A worker checks %(server)s now.") % {"server": server}


def retry(server: Server, context: ActionContext) -> str:
    """Create or install a failed server again."""
    if not services.retry(server_id=server.pk, actor=context.user, at=context.at):
        raise ActionError(_("%(server)s has not failed, or is tried again already.") % {"server": server})
    return _("A worker tries to set up %(server)s again now.") % {"server": server}


def delete_server(server: Server, context: ActionContext) -> str:
    """Delete the server and its files."""
    services.delete_servers(server_ids=[server.pk], actor=context.user, at=context.at)
    audit_reason("server.delete_reason", server, context)
    return _("%(server)s is being deleted.") % {"server": server}


def audit_reason(action: str, server: Server, context: ActionContext) -> None:
    """Record why staff did it, beside what the service recorded."""
    audit.record(action=action, entity=server, actor=context.user, message=context.data["reason"], at=context.at)


STAFF_ACTIONS = (
    StaffAction(
        name="retry",
        label=gettext_lazy("Retry"),
        run=retry,
        permissions=("servers.change_server",),
        description=gettext_lazy(
            "A worker goes on where setting up the server failed. It never makes a second one."
            " One that is gone is created again, without its files."
        ),
        is_available=lambda server: server.status == ServerStatus.FAILED,
        icon="replay",
        is_bulk=True,
    ),
    StaffAction(
        name="converge",
        label=gettext_lazy("Check and repair"),
        run=converge,
        permissions=("servers.change_server",),
        description=gettext_lazy(
            "A worker compares the server with the panel and repairs differences. A failed server is tried again;"
            " one that is gone there is only looked for."
        ),
        is_available=lambda server: server.status != ServerStatus.DELETED,
        icon="sync",
        is_bulk=True,
    ),
    CORRECT_VARIABLES,
    StaffAction(
        name="suspend",
        label=gettext_lazy("Suspend"),
        run=suspend,
        permissions=("servers.add_serverhold",),
        form=ReasonForm,
        description=gettext_lazy("Places a manual hold. A payment does not lift it; only staff can."),
        is_available=lambda server: (
            server.status in LIVING and not server.holds.filter(lifted_at=None, kind=HoldKind.MANUAL).exists()
        ),
        icon="pause",
    ),
    StaffAction(
        name="lift_hold",
        label=gettext_lazy("Lift a hold"),
        run=lift_hold,
        permissions=("servers.change_serverhold",),
        form=LiftForm,
        description=gettext_lazy("The server runs again once its last hold is lifted."),
        is_available=lambda server: server.holds.filter(lifted_at=None).exists(),
        icon="play_arrow",
    ),
    StaffAction(
        name="delete_server",
        label=gettext_lazy("Delete the server"),
        run=delete_server,
        permissions=("servers.delete_server",),
        form=DeleteForm,
        description=gettext_lazy(
            "Deletes the server and its files for good and frees its capacity. Nothing is refunded."
        ),
        is_available=lambda server: server.desired_state == DesiredState.PRESENT and server.status in LIVING,
        icon="delete",
        is_destructive=True,
    ),
)


class HoldInline(ReadOnlyInline):
    """Why it is, or was, suspended."""

    model = ServerHold
    columns = ("kind", "reason", "placed_by", "placed_at", "lifted_at")
    related = ("placed_by", "organization")
    fk_name = "server"
    ordering = ("-placed_at",)


class StepInline(ReadOnlyInline):
    """Its provisioning log."""

    model = ProvisioningStep
    columns = ("at", "step", "note")
    ordering = ("-at",)
    per_page = 20
    has_link = False


class VariableInline(ReadOnlyInline):
    """Its own values of egg variables. They may be the customer's secrets, so only names are shown."""

    model = ServerVariable
    columns = ("env_variable", "is_set_by_staff", "updated_at")
    has_link = False


class TaskInline(ReadOnlyInline):
    """Its provisioning tasks."""

    model = ProvisioningTask
    columns = ("created_at", "state", "attempts", "run_at", "last_error", "finished_at")
    ordering = ("-created_at",)
    per_page = 10


class GameSessionInline(ReadOnlyInline):
    """The Hytale sessions that it was started with."""

    model = HytaleSession
    columns = ("account", "status", "requested_at", "slot_until", "ended_at")
    related = ("account",)
    ordering = ("-requested_at",)
    per_page = 5


@admin.register(Server)
class ServerAdmin(ReadOnlyAdmin):
    """A machine a customer pays for."""

    list_display = (
        "name",
        "organization",
        "plan",
        "node",
        "status",
        "desired_state",
        "memory_mib",
        "address",
        "failure",
    )
    list_filter = ("status", "desired_state", "kind", "node", "plan", ("holds__lifted_at", admin.EmptyFieldListFilter))
    list_select_related = ("organization", "plan", "node")
    search_fields = ("name", "organization__name", "owner__email", "=identifier", "=ref", "address")
    search_help_text = gettext_lazy("Name, organization, email, panel id or address")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    staff_actions = STAFF_ACTIONS
    inlines = (HoldInline, StepInline, TaskInline, VariableInline, GameSessionInline)
    sections = (
        (None, ("name", "organization", "owner", "plan", "kind", "status", "desired_state", "failure")),
        (
            gettext_lazy("Location"),
            ("blueprint", "node", "reservation", "placement", "address", "ip", "port", "hostname", "ref", "identifier"),
        ),
        (
            gettext_lazy("Size"),
            ("cpu_percent", "memory_mib", "disk_mib", "databases_limit", "backups_limit", "ports_limit"),
        ),
        (gettext_lazy("Last seen on the panel"), ("observed", "observed_at")),
        (
            gettext_lazy("History"),
            (
                *("id", "created_at", "create_attempts", "create_asked_at", "create_missed_at", "create_note"),
                *("install_deadline_at", "is_install_doubtful", "installed_at", "reinstall_asked_at", "start_asked_at"),
                *("running_at", "vanished_at", "delete_asked_at", "deleted_at", "updated_at", "metadata"),
            ),
        ),
    )

    @admin.display(description=gettext_lazy("placement"))
    def placement(self, server: Server) -> SafeString:
        """See `placement_of`."""
        return placement_of(server.reservation)
