"""Servers: what should be, what was last seen, and what staff can do about the difference."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import audit
from core.staff import Act, Deed, ReasonForm, Record, RecordInline, Refused
from servers import services
from servers.models import (
    DesiredState,
    HoldKind,
    ProvisioningStep,
    ProvisioningTask,
    Server,
    ServerHold,
    ServerStatus,
    ServerVariable,
)

LIVING = {status for status in ServerStatus if status not in {ServerStatus.DELETING, ServerStatus.DELETED}}


class LiftForm(ReasonForm):
    """Which of the standing holds."""

    kind = forms.ChoiceField(label=gettext_lazy("Hold"))

    def __init__(self, *args: Any, row: Server, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        standing = row.holds.filter(lifted_at=None)
        self.fields["kind"].choices = [(hold.kind, f"{hold.get_kind_display()}: {hold.reason}") for hold in standing]  # type: ignore[attr-defined]
        self.fields["kind"].widget.choices = self.fields["kind"].choices  # type: ignore[attr-defined]


class DeleteForm(ReasonForm):
    """The name typed, so that no slip deletes a server."""

    name = forms.CharField(label=gettext_lazy("Type the server's name"))

    def __init__(self, *args: Any, row: Server, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        self.fields["name"].help_text = _("Its name is %(name)s.") % {"name": row.name}

    def clean_name(self) -> str:
        """Exactly the server's name."""
        name: str = self.cleaned_data["name"]
        if name != self.row.name:
            raise forms.ValidationError(_("That is not its name."))
        return name


def hold(server: Server, act: Act) -> str:
    """Place a manual hold."""
    services.hold_server(
        server_id=server.pk, kind=HoldKind.MANUAL, reason=act.chosen["reason"], actor=act.user, at=act.at
    )
    return _("%(server)s is being suspended.") % {"server": server}


def lift(server: Server, act: Act) -> str:
    """Lift one hold; others keep the server suspended."""
    kind = HoldKind(act.chosen["kind"])
    if not services.lift_hold(server_id=server.pk, kind=kind, actor=act.user, at=act.at):
        raise Refused(_("This hold was lifted already."))
    _note_reason("server.lift_hold_reason", server, act)
    rest = server.holds.filter(lifted_at=None).count()
    return _("Lifted.") if not rest else _("Lifted; %(count)s other hold(s) still suspend it.") % {"count": rest}


def converge(server: Server, act: Act) -> str:
    """Ask for convergence; a failed server is tried again."""
    if server.status == ServerStatus.FAILED:
        services.retry(server_id=server.pk, actor=act.user, at=act.at)
    else:
        services.request_convergence(server_id=server.pk, at=act.at)
        audit.record(action="server.converge", entity=server, actor=act.user)
    return _("A worker will look at %(server)s now.") % {"server": server}


def delete(server: Server, act: Act) -> str:
    """Take the server away for good."""
    services.delete_server(server_id=server.pk, actor=act.user, at=act.at)
    _note_reason("server.delete_reason", server, act)
    return _("%(server)s is being deleted.") % {"server": server}


def _note_reason(action: str, server: Server, act: Act) -> None:
    audit.record(action=action, entity=server, actor=act.user, metadata={"reason": act.chosen["reason"]})


DEEDS = (
    Deed(
        name="converge",
        label=gettext_lazy("Converge now"),
        perform=converge,
        permissions=("servers.change_server",),
        note=gettext_lazy(
            "A worker compares it with the panel and mends the difference; a failed server is tried again."
        ),
        suits=lambda server: server.status != ServerStatus.DELETED,
        icon="sync",
        is_bulk=True,
    ),
    Deed(
        name="suspend",
        label=gettext_lazy("Suspend"),
        perform=hold,
        permissions=("servers.add_serverhold",),
        form=ReasonForm,
        note=gettext_lazy("A manual hold: no payment lifts it, only staff."),
        suits=lambda server: server.status in LIVING and not _has_manual_hold(server),
        icon="pause",
    ),
    Deed(
        name="lift",
        label=gettext_lazy("Lift a hold"),
        perform=lift,
        permissions=("servers.change_serverhold",),
        form=LiftForm,
        suits=lambda server: server.holds.filter(lifted_at=None).exists(),
        icon="play_arrow",
    ),
    Deed(
        name="delete",
        label=gettext_lazy("Delete the server"),
        perform=delete,
        permissions=("servers.delete_server",),
        form=DeleteForm,
        note=gettext_lazy("Its files are gone for good, and its room is given back. No money moves."),
        suits=lambda server: server.desired_state == DesiredState.PRESENT and server.status in LIVING,
        icon="delete",
        is_grave=True,
    ),
)


def _has_manual_hold(server: Server) -> bool:
    return server.holds.filter(lifted_at=None, kind=HoldKind.MANUAL).exists()


class HoldInline(RecordInline):
    """Why it is, or was, suspended."""

    model = ServerHold
    names = ("kind", "reason", "placed_by", "placed_at", "lifted_at")
    related = ("placed_by", "organization")
    fk_name = "server"
    ordering = ("-placed_at",)


class StepInline(RecordInline):
    """Its journal."""

    model = ProvisioningStep
    names = ("at", "step", "note")
    ordering = ("-at",)
    per_page = 20
    is_linked = False


class VariableInline(RecordInline):
    """What the customer chose; values may be secrets of theirs, so staff see the names."""

    model = ServerVariable
    names = ("env_variable", "updated_at")
    is_linked = False


class TaskInline(RecordInline):
    """The work done on it."""

    model = ProvisioningTask
    names = ("created_at", "state", "attempts", "run_at", "last_error", "finished_at")
    ordering = ("-created_at",)
    per_page = 10


@admin.register(Server)
class ServerAdmin(Record):
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
    search_help_text = gettext_lazy("Name, organization, e-mail, panel id or address")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    deeds = DEEDS
    inlines = (HoldInline, StepInline, TaskInline, VariableInline)
    sections = (
        (None, ("name", "organization", "owner", "plan", "kind", "status", "desired_state", "failure")),
        (
            gettext_lazy("Place"),
            ("blueprint", "node", "reservation", "address", "ip", "port", "hostname", "ref", "identifier"),
        ),
        (
            gettext_lazy("Size"),
            ("cpu_percent", "memory_mib", "disk_mib", "databases_limit", "backups_limit", "ports_limit"),
        ),
        (gettext_lazy("Seen on the panel"), ("observed", "observed_at")),
        (
            gettext_lazy("Record"),
            (
                *("id", "created_at", "create_asked_at", "create_missed_at", "install_deadline_at"),
                *("is_install_doubtful", "installed_at", "reinstall_asked_at", "start_asked_at", "running_at"),
                *("deleted_at", "updated_at", "metadata"),
            ),
        ),
    )
