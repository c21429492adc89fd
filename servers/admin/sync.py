"""Syncs as staff see them: their runs, the servers that they saw, and what differs, with its repair."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db import transaction
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from kombu.exceptions import OperationalError
from unfold.widgets import UnfoldAdminSelectWidget

from core import audit, queue
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, ReadOnlyInline, StaffAction
from core.admin_base.actions import ActionForm
from core.models import Outcome
from servers import inventory, services
from servers.drivers import registry
from servers.eggs import rules
from servers.inventory.staging import kinds_of
from servers.models import DriftFinding, DriftKind, Provider, RemoteServerSeen, SyncKind, SyncRun

SYNC_TASK = "servers.tasks.sync_provider"
ADVICE = {
    DriftKind.ORPHAN: gettext_lazy(
        "It exists at the provider and no server here is it. Delete it there if it is not used."
    ),
    DriftKind.GHOST: gettext_lazy(
        "The provider does not have it. Repair looks again; after that the server has failed."
    ),
    DriftKind.DUPLICATE: gettext_lazy(
        "Several servers at the provider carry its key. Delete those that are not used there."
    ),
    DriftKind.KEY: gettext_lazy("Our key was erased there. Repair puts it back."),
    DriftKind.OWNER: gettext_lazy("It belongs to another account there. Repair gives it to its owner's."),
    DriftKind.LIMITS: gettext_lazy("Its limits there are others. Repair sets those that were bought."),
    DriftKind.NODE: gettext_lazy("The provider moved it. Repair moves its reservation and its address after it."),
    DriftKind.SUSPENSION: gettext_lazy("Its holds say otherwise. Repair suspends it, or lifts the suspension."),
    DriftKind.UNLIMITED: gettext_lazy(
        "A server that is not ours has no limit; it counts as nothing. Give it one there."
    ),
    DriftKind.NODE_SHRUNK: gettext_lazy(
        "More is reserved than can be sold. Nothing more is placed there until it fits."
    ),
    DriftKind.EGG_VARIABLE: gettext_lazy("Several variables of the egg share a name; the last one counts."),
    DriftKind.EGG_DEFAULT: gettext_lazy("The default breaks the variable's own rules; the blueprint has to set it."),
    DriftKind.EMAIL: gettext_lazy(
        "The account there has another address than its owner here. Repair sends the owner's; where that changes "
        "nothing, another account there has it."
    ),
    DriftKind.MISSING: gettext_lazy(
        "So many of our servers were not found that nothing is changed until they are. Check the provider's address "
        "and its keys."
    ),
    DriftKind.ACCOUNT: gettext_lazy("The account is gone there. Repair has another one found or created."),
}


class SyncForm(ActionForm):
    """Which of the types that the provider's driver offers."""

    kind = forms.ChoiceField(label=gettext_lazy("Type"), widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, row: Provider, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        offered = kinds_of(registry.driver_of(row))
        self.fields["kind"].choices = [(kind.value, kind.label) for kind in offered]


def resync(provider: Provider, context: ActionContext) -> str:
    """Ask a worker to sync the provider's inventory; should the message be lost, the next scheduled sync does it."""
    kind = context.data.get("kind") or SyncKind.FULL
    run = inventory.request_sync(provider=provider, kind=kind, actor=context.user)
    audit.record(
        action="provider.resync",
        entity=provider,
        actor=context.user,
        new={"kind": kind, "run": str(run.pk)},
        at=context.at,
    )

    def send() -> None:
        try:
            queue.send(SYNC_TASK, str(provider.pk), str(kind))
        except OperationalError as error:
            audit.record_informational(
                action="provider.resync_unsent",
                entity=provider,
                outcome=Outcome.FAILED,
                message=str(error),
                at=context.at,
            )

    transaction.on_commit(send, robust=True)
    return _("A worker syncs the inventory now. Its sync run shows how far it is.")


RESYNC = StaffAction(
    name="resync",
    label=gettext_lazy("Sync the inventory"),
    run=resync,
    permissions=("servers.change_provider",),
    form=SyncForm,
    description=gettext_lazy("A worker reads from the provider what it has. It changes nothing there."),
    is_available=lambda provider: provider.is_active,
    icon="sync",
    is_bulk=True,
)


def repair(finding: DriftFinding, context: ActionContext) -> str:
    """Have it put right."""
    if not services.repair_drift(finding=finding, actor=context.user, at=context.at):
        raise ActionError(_("Only a person at the provider can put this right."))
    return _("A worker puts it right now. The next sync closes the finding.")


class SyncRunInline(ReadOnlyInline):
    """The latest syncs."""

    model = SyncRun
    columns = ("created_at", "kind", "state", "progress_percent", "finished_at", "error")
    per_page = 10


class DriftInline(ReadOnlyInline):
    """What the syncs found."""

    model = DriftFinding
    columns = ("kind", "subject", "expected", "found", "found_at", "closed_at")
    ordering = ("closed_at", "-found_at")
    per_page = 10


@admin.register(SyncRun)
class SyncRunAdmin(ReadOnlyAdmin):
    """What each sync read, and how far it is; the page of one that runs renews itself."""

    change_form_template = "admin/sync_run.html"
    list_display = ("created_at", "provider", "kind", "state", "progress", "finished_at", "requested_by", "error")
    list_filter = ("state", "kind", "provider")
    list_select_related = ("provider", "requested_by")
    date_hierarchy = "created_at"
    sections: ClassVar[Any] = (
        (None, ("provider", "kind", "state", "progress", "requested_by", "created_at", "started_at", "finished_at")),
        (gettext_lazy("What was read"), ("counts", "metadata", "error")),
    )

    @admin.display(description=gettext_lazy("progress"), ordering="progress_percent")
    def progress(self, run: SyncRun) -> SafeString:
        """A bar."""
        context = {
            "title": f"{run.progress_percent} %",
            "items": [{"value": run.progress_percent}],
            "class": "staff-bar",
        }
        return render_to_string("unfold/components/progress.html", context)


@admin.register(RemoteServerSeen)
class RemoteServerSeenAdmin(ReadOnlyAdmin):
    """What a provider has, ours or not."""

    list_display = ("name", "provider", "ref", "server", "node", "memory_mib", "disk_mib", "is_suspended", "is_present")
    list_filter = ("provider", "is_present", ("server", admin.EmptyFieldListFilter), "is_suspended")
    list_select_related = ("provider", "server", "node")
    search_fields = ("name", "=ref", "=key", "server__name")
    ordering = ("name",)


@admin.register(DriftFinding)
class DriftFindingAdmin(ReadOnlyAdmin):
    """What differs between a provider and our rows. A finding closes when a sync no longer finds it."""

    list_display = ("subject", "kind", "server", "provider", "wanted", "found", "found_at", "closed_at")
    list_filter = (("closed_at", admin.EmptyFieldListFilter), "kind", "provider")
    list_select_related = ("provider", "server")
    search_fields = ("subject", "=subject_ref", "server__name")
    date_hierarchy = "found_at"
    ordering = ("-found_at",)
    sections: ClassVar[Any] = (
        (None, ("subject", "kind", "advice", "provider", "server", "subject_ref")),
        (gettext_lazy("Difference"), ("wanted", "found", "found_at", "closed_at")),
    )
    staff_actions = (
        StaffAction(
            name="repair",
            label=gettext_lazy("Repair"),
            run=repair,
            permissions=("servers.change_server",),
            description=gettext_lazy("A worker makes the provider agree with our rows, or our rows follow a move."),
            is_available=lambda finding: finding.closed_at is None and finding.kind in services.REPAIRABLE,
            icon="build",
            is_bulk=True,
        ),
    )

    @admin.display(description=gettext_lazy("expected"))
    def wanted(self, finding: DriftFinding) -> str:
        """What should be there; of an egg's default, what its rules ask for."""
        if finding.kind != DriftKind.EGG_DEFAULT:
            return finding.expected
        broken = rules.violations(finding.expected, finding.found.partition("=")[2])
        return " ".join(str(each.message) for each in broken) or finding.expected

    @admin.display(description=gettext_lazy("what to do"))
    def advice(self, finding: DriftFinding) -> str:
        """What it means, and what Repair does."""
        return str(ADVICE[DriftKind(finding.kind)])
