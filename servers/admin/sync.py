"""Syncs as staff see them: their runs, and asking for one."""

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
from core.admin_base import ActionContext, ReadOnlyAdmin, ReadOnlyInline, StaffAction
from core.admin_base.actions import ActionForm
from core.models import Outcome
from servers import inventory
from servers.drivers import registry
from servers.inventory.staging import kinds_of
from servers.models import DriftFinding, Provider, SyncKind, SyncRun

SYNC_TASK = "servers.tasks.sync_provider"


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
