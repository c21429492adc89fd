"""Deeds: what staff can do with a row. Each asks first, checks permissions, calls a service, says what came of it."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.options import Action, ActionLocation
from django.contrib.admin.options import ModelAdmin as BaseModelAdmin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.enums import ActionVariant
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from core import work

log = logging.getLogger(__name__)
MAX_AT_ONCE = 500
MAX_TOLD = 5
_DRESS: dict[type[forms.Widget], type[forms.Widget]] = {
    forms.TextInput: UnfoldAdminTextInputWidget,
    forms.Textarea: UnfoldAdminTextareaWidget,
    forms.Select: UnfoldAdminSelectWidget,
    forms.PasswordInput: UnfoldAdminPasswordWidget,
    forms.NumberInput: UnfoldAdminTextInputWidget,
    forms.EmailInput: UnfoldAdminTextInputWidget,
    forms.URLInput: UnfoldAdminTextInputWidget,
}


class Refused(Exception):
    """The deed cannot be done now; the text says why, to be read by staff."""


@dataclass(frozen=True)
class Act:
    """One doing of a deed: who, when, and what they chose in its form."""

    user: Any
    at: datetime
    chosen: dict[str, Any] = field(default_factory=dict)


class DeedForm(forms.Form):
    """A plain "are you sure"; deeds that must know more ask for it in a form of their own."""

    def __init__(self, *args: Any, row: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row = row
        dress(self)


class ReasonForm(DeedForm):
    """Asks why; the answer goes into the record."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=191, help_text=gettext_lazy("Kept in the record, with your name.")
    )


def dress(form: forms.BaseForm) -> None:
    """Give a plain form's inputs the look of the staff pages."""
    for bound in form.fields.values():
        dressed = _DRESS.get(type(bound.widget))
        if dressed is not None:
            choices = getattr(bound, "choices", None)
            kind, attrs = getattr(bound.widget, "input_type", None), bound.widget.attrs
            bound.widget = dressed(attrs=attrs)
            if choices is not None:
                bound.widget.choices = choices
            if kind in {"number", "email", "url"}:
                bound.widget.input_type = kind


@dataclass(frozen=True)
class Deed:
    """`perform` gets the row (None for a deed about the whole table) and the act; it returns what to tell.

    `permissions` are all needed. `suits` says whether the row is in a state for it. `is_bulk` offers it in lists too.
    """

    name: str
    label: str | Promise
    perform: Callable[[Any, Act], str | Promise]
    permissions: tuple[str, ...]
    note: str | Promise = ""
    form: type[DeedForm] = DeedForm
    suits: Callable[[Any], bool] = lambda row: True
    icon: str = "bolt"
    is_grave: bool = False
    is_bulk: bool = False

    def is_allowed(self, request: HttpRequest) -> bool:
        """Whether the person has every permission that it takes."""
        return bool(request.user.has_perms(self.permissions))


Deeds = tuple[Deed, ...]


class DeedPages:
    """The pages and buttons of a model's deeds; mixed into its admin, before ModelAdmin."""

    deeds: ClassVar[Deeds] = ()
    general_deeds: ClassVar[Deeds] = ()
    model: Any
    admin_site: Any
    opts: Any

    def get_urls(self) -> list[URLPattern]:
        """The deeds' addresses before Django's own, whose last one takes everything."""
        wrap, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("do/<slug:deed>/", wrap(self.general_deed_view), name=f"{name}_general_deed"),
            path("<path:object_id>/do/<slug:deed>/", wrap(self.deed_view), name=f"{name}_deed"),
            *super().get_urls(),  # type: ignore[misc]
        ]

    def deed_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        """Ask, then do it to one row."""
        chosen = _named(self.deeds, deed)
        row = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
        if row is None:
            raise Http404
        back = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[quote(row.pk)])
        return self._ask_or_do(request, chosen, row, back)

    def general_deed_view(self, request: HttpRequest, deed: str) -> HttpResponse:
        """Ask, then do what concerns the whole table."""
        back = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return self._ask_or_do(request, _named(self.general_deeds, deed), None, back)

    def _ask_or_do(self, request: HttpRequest, deed: Deed, row: Any, back: str) -> HttpResponse:
        if not self.has_view_permission(request, row) or not deed.is_allowed(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        if row is not None and not deed.suits(row):
            messages.warning(request, _("“%(deed)s” does not suit its present state.") % {"deed": deed.label})
            return HttpResponseRedirect(back)
        form = deed.form(request.POST if request.method == "POST" else None, row=row)
        if not form.is_valid():
            return self._ask(request, deed, row, form, back)
        self._do(request, deed, [row], form.cleaned_data)
        return HttpResponseRedirect(back)

    def _ask(self, request: HttpRequest, deed: Deed, row: Any, form: DeedForm, back: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": deed.label,
            "subtitle": str(row) if row is not None else None,
            "opts": self.opts,
            "deed": deed,
            "row": row,
            "form": form,
            "back": back,
        }
        return TemplateResponse(request, "admin/deed.html", context, status=422 if form.errors else 200)

    def _do(self, request: HttpRequest, deed: Deed, rows: Iterable[Any], chosen: dict[str, Any]) -> None:
        """Do it to each row by itself, so that one failure leaves the others done; tell what came of it."""
        act = Act(user=request.user, at=timezone.now(), chosen=chosen)
        told: list[str] = []
        failed: list[str] = []
        for row in rows:
            answer, is_done = _attempt(deed, row, act)
            (told if is_done else failed).append(answer)
            if is_done and row is not None:
                self.log_change(request, row, str(deed.label))  # type: ignore[attr-defined]
        if told:
            messages.success(request, told[0] if len(told) == 1 else _many_done(deed, len(told)))
        for answer in list(dict.fromkeys(failed))[:MAX_TOLD]:
            messages.error(request, answer)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Django's page, with a button for each deed that suits the row and the person."""
        response = super().changeform_view(request, object_id, form_url, extra_context)  # type: ignore[misc]
        context = getattr(response, "context_data", None)
        if context and context.get("original") is not None:
            row = context["original"]
            buttons = [self._button(deed, quote(row.pk)) for deed in self._offered(request, self.deeds, row)]
            context["actions_detail"] = [*context.get("actions_detail", []), *buttons]
        return response  # type: ignore[no-any-return]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Django's list, with a button for each deed about the whole table."""
        response = super().changelist_view(request, extra_context)  # type: ignore[misc]
        context = getattr(response, "context_data", None)
        if context is not None:
            buttons = [self._button(deed, None) for deed in self._offered(request, self.general_deeds, None)]
            context["actions_list"] = [*context.get("actions_list", []), *buttons]
        return response  # type: ignore[no-any-return]

    def _offered(self, request: HttpRequest, deeds: Deeds, row: Any) -> Iterator[Deed]:
        return (deed for deed in deeds if (row is None or deed.suits(row)) and deed.is_allowed(request))

    def _button(self, deed: Deed, object_id: str | None) -> dict[str, Any]:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{'deed' if object_id else 'general_deed'}"
        return {
            "title": deed.label,
            "icon": deed.icon,
            "variant": ActionVariant.DANGER if deed.is_grave else ActionVariant.DEFAULT,
            "attrs": {},
            "dialog": None,
            "path": reverse(name, args=[object_id, deed.name] if object_id else [deed.name]),
        }

    def get_actions(
        self, request: HttpRequest, action_location: ActionLocation = ActionLocation.CHANGE_LIST
    ) -> dict[str, Action]:
        """Django's actions for selected rows, and the deeds that are offered for many."""
        actions: dict[str, Action] = super().get_actions(request, action_location)  # type: ignore[misc]
        if action_location == ActionLocation.CHANGE_LIST:
            bulk = (deed for deed in self.deeds if deed.is_bulk and deed.is_allowed(request))
            actions |= {deed.name: _bulk_action(deed) for deed in bulk}
        return actions

    def get_action_choices(
        self,
        request: HttpRequest,
        default_choices: Any = None,
        action_location: ActionLocation = ActionLocation.CHANGE_LIST,
    ) -> list[tuple[str, str]]:
        """The menu over a list."""
        first = [("", _("Choose what to do"))]
        return BaseModelAdmin.get_action_choices(self, request, first, action_location)  # type: ignore[arg-type]

    def do_to_many(self, deed: Deed, request: HttpRequest, selected: Any) -> None:
        """Do it to the selected rows that it suits."""
        rows = list(selected[: MAX_AT_ONCE + 1])
        if len(rows) > MAX_AT_ONCE:
            messages.error(request, _("At most %(count)s rows at once.") % {"count": MAX_AT_ONCE})
            return
        fit = [row for row in rows if deed.suits(row)]
        if not fit:
            messages.warning(request, _("“%(deed)s” suits none of the selected rows.") % {"deed": deed.label})
        self._do(request, deed, fit, {})


def _bulk_action(deed: Deed) -> Action:
    def run(page: Any, request: HttpRequest, selected: Any) -> None:
        page.do_to_many(deed, request, selected)

    return Action(run, deed.name, str(deed.label), str(deed.label), [ActionLocation.CHANGE_LIST])


def _attempt(deed: Deed, row: Any, act: Act) -> tuple[str, bool]:
    """What to tell, and whether it was done; what fails is undone to the last write."""
    try:
        with transaction.atomic():
            return str(deed.perform(row, act)), True
    except Refused as error:
        return str(error), False
    except ValidationError as error:
        return " ".join(error.messages), False
    except Exception as error:  # staff read the reason on their page; the trace is in the log
        log.exception("%s on %s failed", deed.name, row)
        return _("“%(deed)s” failed: %(error)s") % {"deed": deed.label, "error": work.describe(error)[:300]}, False


def _many_done(deed: Deed, count: int) -> str:
    return ngettext("“%(deed)s”: %(count)s row.", "“%(deed)s”: %(count)s rows.", count) % {
        "deed": deed.label,
        "count": count,
    }


def _named(deeds: Deeds, name: str) -> Deed:
    for deed in deeds:
        if deed.name == name:
            return deed
    raise Http404
