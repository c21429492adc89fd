"""The admin of core's tables: settings, the audit trail, and Django's own log."""

from datetime import timedelta
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from core import audit, audit_checkpoints, formats, site_settings
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, StaffAction
from core.models import AuditCheckpoint, AuditEntry, AuditLink, Setting, SettingType
from core.setting_types import Definition, checked


def verify(_row: None, _context: ActionContext) -> str:
    """Say whether the audit trail is as it was written."""
    breaks = audit.verify()
    if breaks:
        entries = "; ".join(f"{broken.entry_id}: {broken.problem}" for broken in breaks[:10])
        raise ActionError(
            _("The audit trail is broken in %(count)s place(s): %(entries)s")
            % {"count": len(breaks), "entries": entries}
        )
    head = audit_checkpoints.head()
    return _("The audit trail is intact: %(count)s entries.") % {"count": head.position if head else 0}


VERIFY = StaffAction(
    name="verify",
    label=gettext_lazy("Verify the chain"),
    run=verify,
    permissions=("core.view_auditlink",),
    description=gettext_lazy(
        "Reads every entry and checks that none was changed, deleted or inserted later. It may take a moment."
    ),
    icon="verified",
)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what to what, from where."""

    list_display = ("at", "action", "outcome", "about", "who", "ip")
    list_filter = ("action", "outcome", "entity_type", "at")
    list_select_related = ("actor",)
    search_fields = ("=entity_id", "action", "actor__email", "=ip")
    search_help_text = gettext_lazy("Object id, action, email or IP address")
    date_hierarchy = "at"
    ordering = ("-id",)
    staff_list_actions = (VERIFY,)

    @admin.display(description=gettext_lazy("about"))
    def about(self, entry: AuditEntry) -> str:
        """What kind of row it is, with a link to its page; or of how many rows. The entry's own page has the ids."""
        try:
            model = apps.get_model(entry.entity_type)
        except LookupError:
            return entry.entity_type
        if not entry.entity_id:
            count = entry.metadata.get("count")
            return f"{count or ''} {model._meta.verbose_name_plural}".strip()
        name = str(model._meta.verbose_name)
        if not admin.site.is_registered(model):
            return name
        url = reverse(f"admin:{entry.entity_type.replace('.', '_')}_change", args=[quote(entry.entity_id)])
        return format_html('<a class="text-link" href="{}" title="{}">{}</a>', url, entry.entity_id, name)

    @admin.display(description=gettext_lazy("by"))
    def who(self, entry: AuditEntry) -> str:
        """The user, or the name of what acted without one."""
        return str(entry.actor or entry.actor_label or "–")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """The entries about several rows too, one of which has the ID that is searched for."""
        found, has_duplicates = super().get_search_results(request, queryset, search_term)
        if search_term:
            found |= queryset.filter(entity_id="", metadata__ids__contains=[search_term.strip()])
        return found, has_duplicates


@admin.register(AuditLink)
class AuditLinkAdmin(ReadOnlyAdmin):
    """The hash chain over the entries."""

    list_display = ("position", "entry", "entry_hash", "hash")
    list_select_related = ("entry",)
    ordering = ("-position",)
    staff_list_actions = (VERIFY,)


@admin.register(AuditCheckpoint)
class AuditCheckpointAdmin(ReadOnlyAdmin):
    """Heads of the chain that the application signed."""

    list_display = ("position", "hash", "at")
    ordering = ("-position",)
    staff_list_actions = (VERIFY,)


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Django's own log of what staff did on which page; the audit trail says what came of it."""

    list_display = ("action_time", "user", "content_type", "object_repr", "action_flag", "change_message")
    list_filter = ("action_flag", "content_type")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "user__email", "=object_id")
    date_hierarchy = "action_time"


class SettingForm(forms.Form):
    """One key's value in an input of its type; empty means the default."""

    def __init__(self, *args: Any, definition: Definition, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.definition = definition
        options: dict[str, Any] = {"required": False, "label": gettext_lazy("Value")}
        number = {"widget": UnfoldAdminIntegerFieldWidget, **options}
        bounds = {"min_value": definition.min, "max_value": definition.max}
        value: forms.Field
        match definition.type:
            case SettingType.INTEGER:
                value = forms.IntegerField(**bounds, **number)
            case SettingType.HUE:
                value = forms.IntegerField(min_value=0, max_value=360, **number)
            case SettingType.DURATION:
                value = forms.IntegerField(min_value=0, help_text=_("Seconds."), **number)
            case SettingType.DECIMAL:
                value = forms.DecimalField(widget=UnfoldAdminDecimalFieldWidget, **bounds, **options)
            case SettingType.BOOLEAN:
                choices = [("", _("Default")), ("yes", _("Yes")), ("no", _("No"))]
                value = forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **options)
            case SettingType.CHOICE:
                choices = [("", _("Default")), *((name, name) for name in definition.choices)]
                value = forms.ChoiceField(choices=choices, widget=UnfoldAdminSelectWidget, **options)
            case SettingType.TEXT:
                value = forms.CharField(widget=UnfoldAdminTextareaWidget, **options)
            case _:
                value = forms.CharField(widget=UnfoldAdminTextInputWidget, **options)
        self.fields["value"] = value

    def clean_value(self) -> Any:
        """The value in its Python type; refused where the registry refuses it."""
        value = self.cleaned_data["value"]
        if self.definition.type is SettingType.BOOLEAN:
            value = {"yes": True, "no": False}.get(value)
        if self.definition.type is SettingType.DURATION and value is not None:
            value = timedelta(seconds=value)
        return value if value is None or value == "" else checked(self.definition, value)


def setting_text(value: Any) -> str:
    """A setting's value for reading."""
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return formats.duration(value) if isinstance(value, timedelta) else str(value)


@admin.register(Setting)
class SettingAdmin(ReadOnlyAdmin):
    """Lists every registered key, stored or not, and edits one at a time."""

    editable = ("value",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Every key by category, with its value in force."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        stored = dict(Setting.objects.filter(value__isnull=False).values_list("key", "updated_at"))
        groups: dict[str, list[dict[str, Any]]] = {}
        for definition in site_settings.definitions():
            groups.setdefault(capfirst(str(definition.category)), []).append(
                {
                    "key": definition.key,
                    "description": definition.description,
                    "value": setting_text(site_settings.get(definition.key)),
                    "is_public": definition.is_public,
                    "set_at": stored.get(definition.key),
                    "url": reverse("admin:core_setting_change", args=[quote(definition.key)]),
                }
            )
        context = {
            **self.admin_site.each_context(request),
            "title": _("Settings"),
            "opts": self.opts,
            "groups": groups,
            "may_change": self.has_change_permission(request),
        }
        return TemplateResponse(request, "admin/settings.html", context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """One key: its meaning, its default, and an input of its type."""
        try:
            definition = site_settings.definition_of(unquote(object_id or ""))
        except ValidationError:
            raise Http404 from None
        if not self.has_change_permission(request):
            raise PermissionDenied
        value = site_settings.get(definition.key)
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif isinstance(value, timedelta):
            value = int(value.total_seconds())
        data = request.POST if request.method == "POST" else None
        form = SettingForm(data, definition=definition, initial={"value": value})
        if form.is_valid():
            try:
                site_settings.set_value(definition.key, form.cleaned_data["value"], actor=request.user)
            except ValidationError as error:
                form.add_error("value", error)
            else:
                messages.success(request, _("Saved: %(setting)s") % {"setting": definition.description})
                return HttpResponseRedirect(reverse("admin:core_setting_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Settings"),
            "subtitle": definition.description,
            "opts": self.opts,
            "definition": definition,
            "default": setting_text(definition.default) or _("empty"),
            "form": form,
            "back": reverse("admin:core_setting_changelist"),
        }
        return TemplateResponse(request, "admin/setting.html", context, status=422 if form.errors else 200)
