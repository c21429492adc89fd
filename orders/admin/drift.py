"""What syncs saw at providers and what differs from our rows, with all that staff can do about it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from core import site_settings
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, ReasonForm, StaffAction, WorkItemAdmin
from core.admin_base.actions import ActionForm
from orders.admin.adoption import AdoptForm, AdoptSelectedForm, adopt, by_node, is_adoptable
from servers import findings, services
from servers.eggs import rules
from servers.models import DriftFinding, DriftKind, RemoteAccountSeen, RemoteDeletion, RemoteServerSeen
from servers.plan_fits import lost_revenue

ADVICE = {
    DriftKind.ORPHAN: gettext_lazy(
        "It exists at the provider and no server here is it. Take it over, or delete it if it is not used."
    ),
    DriftKind.GHOST: gettext_lazy(
        "The provider does not have it. Repair looks again; after that the server has failed."
    ),
    DriftKind.DUPLICATE: gettext_lazy("Several servers at the provider carry its key. Delete those that are not used."),
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
LOST_BY = {
    DriftKind.ORPHAN: gettext_lazy("The price a month of the cheapest plan that covers its size and is built like it."),
    DriftKind.LIMITS: gettext_lazy("The price a month of the cheapest plan that covers its limits, less its plan's."),
    DriftKind.DUPLICATE: gettext_lazy("The price a month of its plan, for each copy."),
    DriftKind.SUSPENSION: gettext_lazy("The price a month of its plan, where it runs although it is suspended."),
}


def repair(finding: DriftFinding, context: ActionContext) -> str:
    """Have it put right."""
    if not services.repair_drift(finding=finding, actor=context.user, at=context.at):
        raise ActionError(_("Only a person at the provider can put this right."))
    return _("A worker puts it right now. The next sync closes the finding.")


def ignore(finding: DriftFinding, context: ActionContext) -> str:
    """Say nothing of it until it changes."""
    reason = context.data["reason"]
    if not findings.ignore_finding(finding=finding, reason=reason, actor=context.user, at=context.at):
        raise ActionError(_("It is closed or ignored already."))
    return _("It is ignored until a sync finds something else there.")


def stop_ignoring(finding: DriftFinding, context: ActionContext) -> str:
    """Show it among the open ones again."""
    if not findings.stop_ignoring(finding=finding, actor=context.user, at=context.at):
        raise ActionError(_("It is not ignored."))
    return _("It is among the open findings again.")


class DeleteForm(ActionForm):
    """Which server, and its name, so that none is deleted by a slip."""

    ref = forms.ChoiceField(label=gettext_lazy("Its ID there"), widget=UnfoldAdminSelectWidget)
    name = forms.CharField(label=gettext_lazy("Name"), widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, row: DriftFinding, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        self.fields["ref"].choices = [(ref, ref) for ref in findings.deletable_refs(row)]
        # unfold prints help texts unescaped, and customers choose the name.
        self.fields["name"].help_text = format_html(_("Enter {} to confirm."), row.subject)

    def clean_name(self) -> str:
        """Exactly the server's name."""
        name: str = self.cleaned_data["name"]
        if name != self.row.subject:
            raise forms.ValidationError(_("This is not its name."))
        return name


class DeleteSelectedForm(ActionForm):
    """How many they are, so that none is deleted by a slip."""

    count = forms.IntegerField(label=gettext_lazy("Number of servers"), widget=UnfoldAdminTextInputWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["count"].help_text = _("Enter %(count)s to confirm.") % {"count": len(self.rows)}

    @property
    def consequences(self) -> list[str]:  # type: ignore[override]
        """What it means."""
        return [_("For good, with all their files. Of several copies of one, none is deleted here.")]

    def clean_count(self) -> int:
        """Exactly as many as are selected."""
        count: int = self.cleaned_data["count"]
        if count != len(self.rows):
            raise forms.ValidationError(_("So many are not selected."))
        return count


def delete(finding: DriftFinding, context: ActionContext) -> str:
    """Have it deleted at its provider. Which one of several copies only the form for one finding asks."""
    ref = context.data.get("ref")
    if ref is None:
        refs = findings.deletable_refs(finding)
        if len(refs) != 1 or finding.kind != DriftKind.ORPHAN:
            raise ActionError(_("Open the finding and choose which of the copies is deleted."))
        [ref] = refs
    try:
        findings.request_deletion(finding=finding, ref=ref, actor=context.user, at=context.at)
    except findings.NotDeletable as error:
        raise ActionError(str(error)) from error
    return _("A worker looks at it once more and deletes it at its provider.")


ADOPT = StaffAction(
    name="adopt",
    label=gettext_lazy("Take over"),
    run=adopt,
    permissions=("servers.add_server", "orders.add_order"),
    form=AdoptForm,
    bulk_form=AdoptSelectedForm,
    in_order=by_node,
    description=gettext_lazy("It becomes a server of an organization as it is, with a subscription."),
    is_available=is_adoptable,
    icon="move_to_inbox",
)
ACTIONS = (
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
    replace(
        ADOPT,
        is_available=lambda finding: (
            finding.kind == DriftKind.ORPHAN and finding.closed_at is None and is_adoptable(finding)
        ),
    ),
    StaffAction(
        name="delete_there",
        label=gettext_lazy("Delete at the provider"),
        run=delete,
        permissions=("servers.delete_remoteserverseen",),
        form=DeleteForm,
        bulk_form=DeleteSelectedForm,
        in_order=by_node,
        description=gettext_lazy("For good, with all its files. A worker looks first: one of ours is never deleted."),
        is_available=lambda finding: finding.closed_at is None and bool(findings.deletable_refs(finding)),
        icon="delete_forever",
        is_destructive=True,
    ),
    StaffAction(
        name="ignore",
        label=gettext_lazy("Ignore"),
        run=ignore,
        permissions=("servers.change_driftfinding",),
        form=ReasonForm,
        bulk_form=ReasonForm,
        description=gettext_lazy("Until a sync finds something else there. Nothing is changed."),
        is_available=lambda finding: finding.closed_at is None and finding.ignored_at is None,
        icon="visibility_off",
    ),
    StaffAction(
        name="stop_ignoring",
        label=gettext_lazy("Ignore no longer"),
        run=stop_ignoring,
        permissions=("servers.change_driftfinding",),
        description=gettext_lazy("It is among the open findings again."),
        is_available=lambda finding: finding.ignored_at is not None,
        icon="visibility",
        is_bulk=True,
    ),
)


@admin.register(RemoteServerSeen)
class RemoteServerSeenAdmin(ReadOnlyAdmin):
    """What a provider has, ours or not."""

    list_display = ("name", "provider", "ref", "server", "node", "memory_mib", "disk_mib", "is_suspended", "is_present")
    list_filter = ("provider", "is_present", ("server", admin.EmptyFieldListFilter), "is_suspended")
    list_select_related = ("provider", "server", "node")
    search_fields = ("name", "=ref", "=key", "server__name")
    ordering = ("name",)
    staff_actions = (ADOPT,)


@admin.register(RemoteAccountSeen)
class RemoteAccountSeenAdmin(ReadOnlyAdmin):
    """The users' accounts that a provider has, ours or not."""

    list_display = ("email", "username", "provider", "ref", "is_admin", "is_present")
    list_filter = ("provider", "is_admin", "is_present")
    list_select_related = ("provider",)
    search_fields = ("email", "username", "=ref")


@admin.register(RemoteDeletion)
class RemoteDeletionAdmin(WorkItemAdmin):
    """Servers that are no servers of ours, to be deleted at their provider."""

    list_display = ("name", "ref", "provider", "requested_by", "state", "run_at", "last_error", "finished_at")
    list_filter = ("state", "provider")
    list_select_related = ("provider", "requested_by")
    search_fields = ("name", "=ref", "last_error")


def with_lost_revenue(rows: Iterable[DriftFinding]) -> list[DriftFinding]:
    """The findings, each with what it loses a month as `lost_revenue`."""
    listed = list(rows)
    found = lost_revenue(listed, str(site_settings.get("shop.currency")))
    for finding in listed:
        finding.lost_revenue = found.get(finding.pk)  # type: ignore[attr-defined]
    return listed


@admin.register(DriftFinding)
class DriftFindingAdmin(ReadOnlyAdmin):
    """What differs between a provider and our rows. A finding closes when a sync no longer finds it."""

    list_display = ("subject", "kind", "server", "provider", "wanted", "found", "lost", "found_at", "closed_at")
    list_filter = (
        ("closed_at", admin.EmptyFieldListFilter),
        ("ignored_at", admin.EmptyFieldListFilter),
        "kind",
        "provider",
    )
    list_select_related = ("provider", "server")
    search_fields = ("subject", "=subject_ref", "server__name")
    date_hierarchy = "found_at"
    ordering = ("-found_at",)
    sections: ClassVar[Any] = (
        (None, ("subject", "kind", "advice", "provider", "server", "subject_ref")),
        (gettext_lazy("Difference"), ("wanted", "found", "found_at", "closed_at")),
        (gettext_lazy("Lost revenue"), ("lost", "lost_by")),
        (gettext_lazy("Ignored"), ("ignored_at", "ignored_by", "ignore_reason")),
    )
    staff_actions = ACTIONS

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Django's, with what its findings cost."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = with_lost_revenue(changelist.result_list)
        return changelist

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Django's, with what it costs."""
        finding = super().get_object(request, object_id, from_field)
        return with_lost_revenue([finding])[0] if finding is not None else None

    @admin.display(description=gettext_lazy("lost a month"))
    def lost(self, finding: DriftFinding) -> str:
        """See `lost_revenue`."""
        return str(getattr(finding, "lost_revenue", None) or "–")

    @admin.display(description=gettext_lazy("how that is reckoned"))
    def lost_by(self, finding: DriftFinding) -> str:
        """In words."""
        return str(LOST_BY.get(DriftKind(finding.kind), ""))

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
