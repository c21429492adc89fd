"""Imports of servers as staff see them: a check that does nothing, row by row, and then the import itself."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldBooleanSwitchWidget

from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, ReadOnlyInline, StaffAction, WorkItemAdmin
from orders.admin.adoption import BilledForm
from orders.imports import importing
from orders.imports.mapping import MappingError, parse_mapping
from orders.models import ImportOutcome, ImportRow, ImportState, ImportTask, ServerImport
from servers.models import Provider

PERMISSIONS = ("servers.add_server", "orders.add_order")


class CheckForm(BilledForm):
    """Which provider, and what staff say of single servers."""

    field_order = ("provider", "term", "billed_from", "mapping", "matches_by_email")

    provider = forms.ModelChoiceField(
        label=gettext_lazy("Provider"), queryset=Provider.objects.order_by("name"), widget=UnfoldAdminSelectWidget
    )
    mapping = forms.CharField(
        label=gettext_lazy("Mapping"),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10, "spellcheck": "false"}),
        help_text=gettext_lazy(
            "CSV, or empty. Its first line names the columns: ref (the server's ID there), and any of email, plan "
            "(its code), term and billed_from. What it leaves out is decided by the account's address, the plan that "
            "fits best, and the values above."
        ),
    )

    matches_by_email = forms.BooleanField(
        label=gettext_lazy("Confirm matches by email"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=gettext_lazy(
            "Accounts there belong to the customers here with the same email addresses. On a panel everybody can enter "
            "any address without proof, so check without this first, and read which servers that is about."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["billed_from"].help_text = _(
            "Of those for which the mapping names no day. Until then they are paid elsewhere."
        )

    def clean_mapping(self) -> list[dict[str, str]]:
        """See `parse_mapping`."""
        try:
            return parse_mapping(self.cleaned_data["mapping"])
        except MappingError as error:
            raise forms.ValidationError(str(error)) from error


def check(_row: None, context: ActionContext) -> str:
    """Have a worker find out what an import would do."""
    data = {name: context.data[name] for name in ("provider", "mapping", "term", "billed_from", "matches_by_email")}
    importing.request_check(**data, actor=context.user, at=context.at)
    return _("A worker checks now what would happen. Open the import to read it; nothing is done before you start it.")


def start(server_import: ServerImport, context: ActionContext) -> str:
    """Have a worker do it."""
    if not importing.request_import(server_import=server_import, actor=context.user, at=context.at):
        raise ActionError(_("It was started already."))
    return _("A worker imports the servers now. What is refused on the way says why.")


class ImportRowInline(ReadOnlyInline):
    """What happens to each server, those that are left out first."""

    model = ImportRow
    columns = ("outcome", "ref", "name", "note", "email", "plan", "price", "term", "billed_from", "server")
    related = ("plan", "price", "server")
    ordering = ("-outcome", "position")
    per_page = 50
    has_link = False


@admin.register(ServerImport)
class ServerImportAdmin(ReadOnlyAdmin):
    """A provider's servers that become servers of this shop."""

    change_form_template = "admin/server_import.html"
    list_display = ("created_at", "provider", "state", "planned", "refused", "imported", "requested_by", "finished_at")
    list_filter = ("state", "provider")
    list_select_related = ("provider", "requested_by")
    inlines = (ImportRowInline,)
    sections: ClassVar[Any] = (
        (None, ("provider", "state", "planned", "refused", "imported")),
        (
            gettext_lazy("Asked for"),
            ("term", "billed_from", "mapped", "matches_by_email", "requested_by", "created_at", "finished_at"),
        ),
    )
    staff_list_actions = (
        StaffAction(
            name="check_import",
            label=gettext_lazy("Check an import"),
            run=check,
            permissions=PERMISSIONS,
            form=CheckForm,
            description=gettext_lazy("Shows what would happen to each server of a provider. Nothing is done."),
            icon="fact_check",
        ),
    )
    staff_actions = (
        StaffAction(
            name="start",
            label=gettext_lazy("Import"),
            run=start,
            permissions=PERMISSIONS,
            description=gettext_lazy(
                "The servers that are to be imported become servers of this shop as they are, with a subscription "
                "each. New customers have no password yet, and are sent nothing."
            ),
            is_available=lambda server_import: server_import.state == ImportState.CHECKED,
            icon="move_to_inbox",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With how many servers have which outcome."""
        rows: QuerySet[Any] = super().get_queryset(request)
        counted = {each.value: Count("rows", filter=Q(rows__outcome=each)) for each in ImportOutcome}
        annotated: QuerySet[Any] = rows.annotate(**{f"{name}_count": count for name, count in counted.items()})
        return annotated

    @admin.display(description=gettext_lazy("servers in the mapping"))
    def mapped(self, server_import: Any) -> int:
        """How many; what was said of each is in its row."""
        return len(server_import.mapping)

    @admin.display(description=ImportOutcome.PLANNED.label)
    def planned(self, server_import: Any) -> int:
        """How many are to be imported."""
        return int(server_import.planned_count)

    @admin.display(description=ImportOutcome.REFUSED.label)
    def refused(self, server_import: Any) -> int:
        """How many are left out."""
        return int(server_import.refused_count)

    @admin.display(description=ImportOutcome.IMPORTED.label)
    def imported(self, server_import: Any) -> int:
        """How many are ours now."""
        return int(server_import.imported_count)


@admin.register(ImportRow)
class ImportRowAdmin(ReadOnlyAdmin):
    """The servers of all imports."""

    list_display = ("name", "ref", "server_import", "email", "plan", "outcome", "note", "server")
    list_filter = ("outcome",)
    list_select_related = ("server_import__provider", "plan", "server")
    search_fields = ("name", "=ref", "email", "note")


@admin.register(ImportTask)
class ImportTaskAdmin(WorkItemAdmin):
    """The work of checking and doing imports."""

    list_display = ("server_import", "state", "attempts", "run_at", "last_error")
    list_select_related = ("server_import__provider",)
