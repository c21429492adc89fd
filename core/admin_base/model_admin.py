"""Admin pages that are read-only by default: only fields that are declared can be edited, and nothing is deleted."""

from collections.abc import Iterable
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets, quote
from django.db import IntegrityError, models
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from core import audit
from core.admin_base.actions import StaffActionsMixin
from core.admin_base.columns import Column, column_for
from core.admin_base.lookups import declared_lookups
from core.encryption import EncryptedField

RECORD_FIELDS = frozenset({"id", "created_at", "updated_at"})  # stand last: they are seldom what a page is opened for


class DisplayMixin:
    """What pages and inlines share: which fields can be edited, and how the others are shown.

    `editable` fields are inputs on the change page, `addable` ones on the add page; rows can be added only where
    `addable` is given.
    """

    model: type[models.Model]
    editable: ClassVar[tuple[str, ...]] = ()
    addable: ClassVar[tuple[str, ...]] = ()

    @cached_property
    def field_columns(self) -> dict[str, Column]:
        """Columns of the fields that Django would not show as staff should see them, by name."""
        found = {field.name: column_for(field) for field in self.model._meta.concrete_fields}
        return {name: column for name, column in found.items() if column is not None}

    def displayed(self, names: Iterable[Any]) -> list[Any]:
        """The names, each replaced by its column where there is one."""
        return [self.field_columns.get(name, name) if isinstance(name, str) else name for name in names]

    def get_editable(self, request: HttpRequest, obj: Any) -> tuple[str, ...]:
        """The fields that this user may edit on this page."""
        return self.editable if obj else self.addable

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: rows end by their own states, and their history stays."""
        return False


class ReadOnlyAdmin(StaffActionsMixin, DisplayMixin, ModelAdmin):  # type: ignore[misc]
    """The admin of one model. `sections` are its fieldsets as (title, names); without them all fields are shown."""

    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = False
    warn_unsaved_form = True
    sections: ClassVar[tuple[tuple[Any, tuple[str, ...]], ...]] = ()
    formfield_overrides: ClassVar[dict[Any, Any]] = {
        models.ManyToManyField: {"widget": UnfoldAdminCheckboxSelectMultipleWidget}
    }

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only where the admin says what can be entered."""
        return bool(self.addable) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only where something can be edited."""
        return bool(self.editable) and super().has_change_permission(request, obj)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The listed fields, shown as staff should see them."""
        return self.displayed(super().get_list_display(request))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        """`addable` when adding; else the sections, with editable fields as inputs and the rest as text."""
        if obj is None:
            return [(None, {"fields": list(self.get_editable(request, None))})]
        editable = self.get_editable(request, obj) if self.has_change_permission(request, obj) else ()
        own_fields = (*self.model._meta.concrete_fields, *self.model._meta.local_many_to_many)
        # A relation through a model of its own is shown as an inline, if at all.
        through = {field.name: getattr(field.remote_field, "through", None) for field in own_fields}
        names = [name for name, model in through.items() if model is None or model._meta.auto_created]
        all_names = tuple(sorted(names, key=lambda name: name in RECORD_FIELDS))
        return [
            (title, {"fields": [name if name in editable else self.field_columns.get(name, name) for name in names]})
            for title, names in self.sections or ((None, all_names),)
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All that is on the page and cannot be edited."""
        editable = self.get_editable(request, obj)
        return [name for name in flatten_fieldsets(self.get_fieldsets(request, obj)) if name not in editable]

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """A row that is being added has none yet: only those inlines that take new ones."""
        found = super().get_inline_instances(request, obj)
        return [each for each in found if obj is not None or each.has_add_permission(request, obj)]

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only what this admin's own filters ask. Any other lookup would tell about columns that no page shows."""
        return lookup in declared_lookups(self.model, self.get_list_filter(request), self.date_hierarchy)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """A full id finds its row through the key's index; anything else is searched for."""
        try:
            key = UUID(search_term.strip())
        except ValueError:
            key = None
        if key and isinstance(self.model._meta.pk, models.UUIDField):
            return queryset.filter(pk=key), False
        return super().get_search_results(request, queryset, search_term)  # type: ignore[no-any-return]

    def save_model(self, request: HttpRequest, obj: Any, form: "ModelForm[Any]", change: Any) -> None:
        """Write only what was edited, so that counters moved meanwhile stay; and audit who changed what."""
        fields = {field.name: field for field in self.model._meta.get_fields()}
        if not change:
            obj.save()
        elif names := [
            name
            for name in form.changed_data
            if name in fields and fields[name].concrete and not fields[name].many_to_many
        ]:
            obj.save(update_fields=names)

        old: dict[str, Any] = {}
        new: dict[str, Any] = {}
        for name in form.changed_data:
            if name not in fields or isinstance(fields[name], EncryptedField):
                old[name], new[name] = "", _("set")
            else:
                old[name], new[name] = _plain(form.initial.get(name)), _plain(form.cleaned_data.get(name))
        if new:
            action = f"{self.model._meta.model_name}.{'change' if change else 'add'}"
            audit.record(action=action, entity=obj, actor=request.user, old=old if change else None, new=new)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page; what only the database refuses is an error above all that was entered."""
        try:
            return super().changeform_view(request, *args, **kwargs)  # type: ignore[no-any-return]
        except IntegrityError as error:
            name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
            request.broken_rule = name or str(error)  # type: ignore[attr-defined]
            return super().changeform_view(request, *args, **kwargs)  # type: ignore[no-any-return]

    def get_form(self, request: HttpRequest, obj: Any = None, change: Any = False, **kwargs: Any) -> Any:  # noqa: FBT002
        """Django's; after a refusal by the database it names the broken rule."""
        form_class = super().get_form(request, obj, change, **kwargs)
        rule = getattr(request, "broken_rule", None)
        if rule is None:
            return form_class

        def clean(form: Any) -> Any:
            text = _("This could not be saved, because it breaks the rule “%(rule)s”.") % {"rule": rule}
            form.add_error(None, text)
            return form_class.clean(form)

        return type(form_class.__name__, (form_class,), {"clean": clean})


def _plain(value: Any) -> Any:
    """A form's value as the audit trail keeps it."""
    if isinstance(value, models.Model):
        return str(value.pk)
    if isinstance(value, models.QuerySet | list | tuple | set):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, UUID) else value


class ReadOnlyInline(DisplayMixin, TabularInline):  # type: ignore[misc]
    """Rows under their parent: `columns` to show, `related` to fetch with them.

    Each row links to its own page, unless `has_link` says that there is nothing more to see.
    """

    columns: ClassVar[tuple[str, ...]] = ()
    related: ClassVar[tuple[str, ...]] = ()
    has_link: ClassVar[bool] = True
    extra = 0
    can_delete = False
    show_title = False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The columns, shown as staff should see them."""
        return [*self.displayed(self.columns), *(["link"] if self.has_link else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Every column."""
        return self.get_fields(request, obj)

    @admin.display(description="")
    def link(self, row: Any) -> Any:
        """A link to the row's own page."""
        if row is None or row._state.adding:
            return ""
        url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[quote(row.pk)])
        return format_html('<a class="text-link" href="{}">{}</a>', url, _("Open"))

    def get_queryset(self, request: HttpRequest) -> Any:
        """The rows with what their columns need, in one query."""
        rows = super().get_queryset(request)
        return rows.select_related(*self.related) if self.related else rows

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never, unless an inline says otherwise."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: inlines are read."""
        return False
