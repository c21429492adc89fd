"""The ground of every staff page about rows: look at all, type only what is meant to be typed, delete nothing."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets, quote
from django.core.exceptions import FieldDoesNotExist
from django.db import IntegrityError, models
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin, TabularInline

from core import audit
from core.encryption import EncryptedField
from core.staff.columns import Column, column_for
from core.staff.deeds import DeedPages


class Shown:
    """What pages and inlines share: which fields a person may type, and how the others are shown.

    `editable` are typed on the change page, `addable` on the add page; a row can be added only where that is given.
    """

    model: type[models.Model]
    editable: ClassVar[tuple[str, ...]] = ()
    addable: ClassVar[tuple[str, ...]] = ()

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Columns of the fields that Django would not show as staff should see them, by name."""
        found = {field.name: column_for(field) for field in self.model._meta.concrete_fields}
        return {name: column for name, column in found.items() if column is not None}

    def shown(self, names: Iterable[Any]) -> list[Any]:
        """The names, each replaced by its column where there is one."""
        return [self.columns.get(name, name) if isinstance(name, str) else name for name in names]

    def typed(self, request: HttpRequest, row: Any) -> tuple[str, ...]:
        """The fields that this person may type on this page."""
        return self.editable if row else self.addable

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: rows end by their own states, and the trail stays."""
        return False


class Record(DeedPages, Shown, ModelAdmin):  # type: ignore[misc]
    """Staff's pages of one model. `deeds` are what can be done with a row, each through a service."""

    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = False
    warn_unsaved_form = True
    sections: ClassVar[tuple[tuple[Any, tuple[str, ...]], ...]] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only where the page says what is asked for."""
        return bool(self.addable) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only where something can be typed."""
        return bool(self.editable) and super().has_change_permission(request, obj)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The listed names, shown as staff should see them."""
        return self.shown(super().get_list_display(request))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        """`addable` when adding; else the sections, what can be typed as inputs and the rest as text."""
        if obj is None:
            return [(None, {"fields": list(self.typed(request, None))})]
        may_type = self.typed(request, obj) if self.has_change_permission(request, obj) else ()
        sections = self.sections or ((None, tuple(_all_names(self.model))),)
        return [(title, {"fields": [self._on_page(name, may_type) for name in names]}) for title, names in sections]

    def _on_page(self, name: str, may_type: tuple[str, ...]) -> Any:
        return name if name in may_type else self.columns.get(name, name)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All that is on the page and cannot be typed."""
        may_type = self.typed(request, obj)
        return [name for name in flatten_fieldsets(self.get_fieldsets(request, obj)) if name not in may_type]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """A full id finds its row through the key's index; anything else is searched for."""
        if isinstance(self.model._meta.pk, models.UUIDField) and (key := _uuid(search_term)):
            return queryset.filter(pk=key), False
        return super().get_search_results(request, queryset, search_term)  # type: ignore[no-any-return]

    def save_model(self, request: HttpRequest, obj: Any, form: "ModelForm[Any]", change: Any) -> None:
        """Write only what was typed, so that counters moved meanwhile stay; and record who typed what."""
        if not change:
            obj.save()
        elif names := [name for name in form.changed_data if _is_column(self.model, name)]:
            obj.save(update_fields=names)
        told = dict(_told(form))
        if told:
            action = f"{self.model._meta.model_name}.{'change' if change else 'add'}"
            old = {name: before for name, (before, _after) in told.items()} if change else None
            new = {name: after for name, (_before, after) in told.items()}
            audit.record(action=action, entity=obj, actor=request.user, old=old, new=new)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page; what the database refuses comes back as a message."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except IntegrityError as error:
            name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
            messages.error(request, _("The database refused this: %(rule)s") % {"rule": name or error})
            return HttpResponseRedirect(request.get_full_path())


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def _all_names(model: type[models.Model]) -> Iterator[str]:
    for field in (*model._meta.concrete_fields, *model._meta.local_many_to_many):
        through = getattr(field.remote_field, "through", None)
        if through is None or through._meta.auto_created:
            yield field.name


def _is_column(model: type[models.Model], name: str) -> bool:
    try:
        return bool(model._meta.get_field(name).concrete) and not model._meta.get_field(name).many_to_many
    except FieldDoesNotExist:
        return False


def _told(form: "ModelForm[Any]") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """What was changed, before and after, as the audit trail keeps it."""
    for name in form.changed_data:
        model_field = next((field for field in form._meta.model._meta.get_fields() if field.name == name), None)
        if model_field is None or isinstance(model_field, EncryptedField):
            yield name, ("", _("set"))
        else:
            yield name, (_plain(form.initial.get(name)), _plain(form.cleaned_data.get(name)))


def _plain(value: Any) -> Any:
    if isinstance(value, models.Model):
        return str(value.pk)
    if isinstance(value, models.QuerySet | list | tuple | set):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, UUID) else value


class RecordInline(Shown, TabularInline):  # type: ignore[misc]
    """Rows under their parent, to read; `names` are the columns, `related` what to fetch with them.

    Each row leads to its own page, unless `is_linked` says that there is nothing more to see.
    """

    names: ClassVar[tuple[str, ...]] = ()
    related: ClassVar[tuple[str, ...]] = ()
    is_linked: ClassVar[bool] = True
    extra = 0
    can_delete = False
    show_title = False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The columns, shown as staff should see them."""
        return [*self.shown(self.names), *(["opened"] if self.is_linked else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Every column."""
        return self.get_fields(request, obj)

    @admin.display(description="")
    def opened(self, row: Any) -> Any:
        """A link to the row's own page."""
        if row is None or row._state.adding:
            return ""
        address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[quote(row.pk)])
        return format_html('<a class="text-link" href="{}">{}</a>', address, _("Open"))

    def get_queryset(self, request: HttpRequest) -> Any:
        """The rows with what their columns need, in one query."""
        rows = super().get_queryset(request)
        return rows.select_related(*self.related) if self.related else rows

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never, unless a page says otherwise."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: lines are read."""
        return False
