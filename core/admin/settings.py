"""The shop's settings: each registered key with its value in force, and a page to change it, typed and checked."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import formats, site_settings
from core.models import Setting, SettingType
from core.setting_types import Definition, checked
from core.staff import Record
from core.staff.deeds import dress

YES_NO = [("", gettext_lazy("Default")), ("yes", gettext_lazy("Yes")), ("no", gettext_lazy("No"))]


class SettingForm(forms.Form):
    """One key's value in its own kind of input; empty means the default."""

    def __init__(self, *args: Any, definition: Definition, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.definition = definition
        self.fields["value"] = _input(definition)
        dress(self)

    def clean_value(self) -> Any:
        """The value in its Python type; refused where the registry refuses it."""
        value = _python(self.definition, self.cleaned_data["value"])
        return value if value is None or value == "" else checked(self.definition, value)


def _input(definition: Definition) -> forms.Field:
    bounds = {"min_value": definition.min, "max_value": definition.max}
    options: dict[str, Any] = {"required": False, "label": gettext_lazy("Value")}
    match definition.type:
        case SettingType.INTEGER:
            return forms.IntegerField(**bounds, **options)
        case SettingType.HUE:
            return forms.IntegerField(min_value=0, max_value=360, **options)
        case SettingType.DECIMAL:
            return forms.DecimalField(**bounds, **options)
        case SettingType.DURATION:
            return forms.IntegerField(min_value=0, help_text=_("Seconds."), **options)
        case SettingType.BOOLEAN:
            return forms.ChoiceField(choices=YES_NO, **options)
        case SettingType.CHOICE:
            return forms.ChoiceField(
                choices=[("", _("Default")), *((name, name) for name in definition.choices)], **options
            )
        case SettingType.TEXT:
            return forms.CharField(widget=forms.Textarea, **options)
        case _:
            return forms.CharField(**options)


def _python(definition: Definition, value: Any) -> Any:
    if definition.type is SettingType.BOOLEAN:
        return {"yes": True, "no": False}.get(value)
    if definition.type is SettingType.DURATION and value is not None:
        return timedelta(seconds=value)
    return value


def _typed(definition: Definition, value: Any) -> Any:
    """The value as its input shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return int(value.total_seconds()) if isinstance(value, timedelta) else value


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return formats.duration(value) if isinstance(value, timedelta) else str(value)


@admin.register(Setting)
class SettingAdmin(Record):
    """Lists what can be set rather than what was; only registered keys can be opened."""

    editable = ("value",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Every key by category, with its value in force."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        stored = dict(Setting.objects.filter(value__isnull=False).values_list("key", "updated_at"))
        groups: dict[str, list[dict[str, Any]]] = {}
        for definition in site_settings.definitions():
            groups.setdefault(capfirst(str(definition.category)), []).append(_line(definition, stored))
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
        definition = _definition(object_id)
        if not self.has_change_permission(request):
            raise PermissionDenied
        initial = {"value": _typed(definition, site_settings.get(definition.key))}
        form = SettingForm(request.POST if request.method == "POST" else None, definition=definition, initial=initial)
        if form.is_valid() and self._store(request, definition, form):
            return HttpResponseRedirect(reverse("admin:core_setting_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Settings"),
            "subtitle": definition.key,
            "opts": self.opts,
            "definition": definition,
            "default": _told(definition.default) or _("empty"),
            "form": form,
            "back": reverse("admin:core_setting_changelist"),
        }
        return TemplateResponse(request, "admin/setting.html", context, status=422 if form.errors else 200)

    def _store(self, request: HttpRequest, definition: Definition, form: SettingForm) -> bool:
        try:
            site_settings.set_value(definition.key, form.cleaned_data["value"], actor=request.user)
        except ValidationError as error:
            form.add_error("value", error)
            return False
        messages.success(request, _("%(key)s is saved.") % {"key": definition.key})
        return True


def _definition(object_id: str | None) -> Definition:
    try:
        return site_settings.definition_of(unquote(object_id or ""))
    except ValidationError:
        raise Http404 from None


def _line(definition: Definition, stored: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": definition.key,
        "description": definition.description,
        "value": _told(site_settings.get(definition.key)),
        "is_public": definition.is_public,
        "set_at": stored.get(definition.key),
        "url": reverse("admin:core_setting_change", args=[quote(definition.key)]),
    }
