"""Staff actions: what staff can do with a row, declared as a table and shown as unfold's buttons and dialogs."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import MethodType
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.admin.options import Action, ActionLocation
from django.contrib.admin.options import ModelAdmin as DjangoModelAdmin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails
from unfold.decorators import action as unfold_action
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from core import clock, work

log = logging.getLogger(__name__)
MAX_ROWS = 500
MAX_ROWS_OF_FORM = 50  # a page of the list; they are one transaction, with all that it locks
MAX_ERRORS_SHOWN = 5


class HtmxRequest(HttpRequest):
    """A request as HtmxMiddleware passes it on."""

    htmx: HtmxDetails


class ActionError(Exception):
    """The action cannot be done now; the text tells staff why, beside the form's `field` where one is named."""

    def __init__(self, text: str, *, field: str = "") -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True)
class ActionContext:
    """Who runs an action, when, and what they entered in its form."""

    user: Any
    at: datetime
    data: dict[str, Any] = field(default_factory=dict)


class ActionForm(BaseDialogForm):  # type: ignore[misc]
    """Asks to confirm. An action that needs more declares a subclass, with unfold's widgets."""

    form_before_template = "admin/action_row.html"
    consequences: Sequence[str] = ()  # what the action does to this row, in sentences

    def __init__(
        self, *args: Any, row: Any = None, rows: Sequence[Any] = (), is_destructive: bool = False, **kwargs: Any
    ) -> None:
        self.row, self.rows = row, rows  # of an action on selected rows only `rows`
        self.is_destructive = is_destructive
        super().__init__(*args, **kwargs)

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        """What the template shows above the fields."""
        return {"row": self.row, "is_destructive": self.is_destructive, "consequences": self.consequences}


class ReasonForm(ActionForm):
    """Asks why; the answer goes into the audit trail."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=191,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Kept in the audit trail with your name."),
    )


@dataclass(frozen=True)
class RowResult:
    """What came of an action on one row, for staff."""

    row: Any
    text: str
    is_done: bool


@dataclass(frozen=True)
class StaffAction:
    """`run` gets the row (None for an action on the whole table) and the context; it returns the message to show.

    `name` ends the action's URL, so it must not be one of Django's own (add, change, delete, history).
    All `permissions` are needed. `is_available` says whether the row's state allows it.
    `is_bulk` offers it for selected rows of the list too, where it runs on each without a form. A `bulk_form` offers it
    there with a form that is filled in once for all of them, and says of each row what came of it; they are one
    transaction, so `in_order` puts them into the order in which locks are taken. Where `run_on_rows` is given, that is
    offered there: it gets the selected rows as one queryset, however many they are.
    """

    name: str
    label: str | Promise
    run: Callable[[Any, ActionContext], str | Promise]
    permissions: tuple[str, ...]
    description: str | Promise = ""
    form: type[ActionForm] = ActionForm
    is_available: Callable[[Any], bool] = lambda row: True
    icon: str = "bolt"
    is_destructive: bool = False
    is_bulk: bool = False
    bulk_form: type[ActionForm] | None = None
    in_order: Callable[[list[Any]], list[Any]] = list
    run_on_rows: "Callable[[QuerySet[Any], ActionContext], str | Promise] | None" = None


class StaffActionsMixin:
    """Turns `staff_actions` (on a row) and `staff_list_actions` (on the whole table) into unfold's actions."""

    staff_actions: ClassVar[tuple[StaffAction, ...]] = ()
    staff_list_actions: ClassVar[tuple[StaffAction, ...]] = ()
    checks_class = ModelAdminChecks  # unfold's would ask the database which permissions exist
    admin_site: Any
    model: Any
    opts: Any

    def __init__(self, model: Any, admin_site: Any) -> None:
        self.actions_detail = [staff_action.name for staff_action in self.staff_actions]
        self.actions_list = [staff_action.name for staff_action in self.staff_list_actions]
        for staff_action in (*self.staff_actions, *self.staff_list_actions):
            setattr(self, staff_action.name, self._unfold_action(staff_action))
        super().__init__(model, admin_site)  # type: ignore[call-arg]

    def _unfold_action(self, staff_action: StaffAction) -> Callable[..., HttpResponse]:
        """The method that unfold expects behind the action's name."""

        def view(_admin: Any, request: HtmxRequest, object_id: str | None = None) -> HttpResponse:
            return self.staff_action_view(request, staff_action, object_id)

        view.__name__ = staff_action.name
        decorated = unfold_action(
            description=staff_action.label,
            permissions=("view", *staff_action.permissions),
            url_path=staff_action.name.replace("_", "-"),
            icon=staff_action.icon,
            variant=ActionVariant.DANGER if staff_action.is_destructive else ActionVariant.DEFAULT,
        )(view)
        # Makes the button open a dialog. Given to the decorator, unfold would build the form without its row.
        decorated.dialog = {"title": staff_action.label, "description": staff_action.description}
        return MethodType(decorated, self)

    def staff_action_view(self, request: HtmxRequest, staff_action: StaffAction, object_id: str | None) -> HttpResponse:
        """Show the action's dialog; once it is submitted, run the action and go back to the row or the list."""
        url_name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        row, done_url = None, reverse(f"{url_name}_changelist")
        if object_id is not None:
            row = self.get_object(request, unquote(object_id))  # type: ignore[attr-defined]
            if row is None:
                raise Http404
            done_url = reverse(f"{url_name}_change", args=[quote(row.pk)])

        if row is not None and not staff_action.is_available(row):
            messages.warning(request, _("“%(action)s” is not available now.") % {"action": staff_action.label})
        else:
            data = request.POST if request.method == "POST" else None
            options: dict[str, Any] = {"row": row, "is_destructive": staff_action.is_destructive}
            form = staff_action.form(data=data, request=request, object_id=object_id, **options)
            if form.is_valid():
                try:
                    self.run_staff_action(request, staff_action, [row], form.cleaned_data)
                except ActionError as error:
                    form.add_error(error.field, str(error))
            if not form.is_valid():
                template = "unfold/helpers/dialog.html" if request.htmx else "admin/action.html"
                context = self.admin_site.each_context(request)
                context |= {"title": staff_action.label, "opts": self.opts, "back_url": done_url, "form": form}
                context["dialog"] = {"title": staff_action.label, "description": staff_action.description}
                context["form_submit_text"] = staff_action.label
                is_refused = form.is_bound and not request.htmx  # htmx shows no 4xx
                return render(request, template, context, status=422 if is_refused else 200)
        return HttpResponseClientRedirect(done_url) if request.htmx else redirect(done_url)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """unfold's, without the actions that the row's state does not allow."""
        allowed = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        row = self.get_object(request, unquote(str(object_id))) if allowed else None  # type: ignore[attr-defined]
        available = {each.name for each in self.staff_actions if row is not None and each.is_available(row)}
        return [each for each in allowed if each.method.original_function_name in available]

    def get_actions(
        self, request: HttpRequest, action_location: ActionLocation = ActionLocation.CHANGE_LIST
    ) -> dict[str, Action]:
        """Django's actions for selected rows, and the staff actions that are offered for many."""
        actions: dict[str, Action] = super().get_actions(request, action_location)  # type: ignore[misc]
        if action_location == ActionLocation.CHANGE_LIST:
            for each in self.staff_actions:
                is_offered = each.is_bulk or each.bulk_form or each.run_on_rows
                if is_offered and request.user.has_perms(each.permissions):
                    label = str(each.label)
                    run = partial(type(self).run_on_selected, staff_action=each)
                    actions[each.name] = Action(run, each.name, label, label, [action_location])
        return actions

    def get_action_choices(
        self,
        request: HttpRequest,
        default_choices: Any = None,
        action_location: ActionLocation = ActionLocation.CHANGE_LIST,
    ) -> list[tuple[str, str]]:
        """Django's, because unfold's does not take Django 6.1's `action_location` yet."""
        first = [("", _("Select action"))]
        return DjangoModelAdmin.get_action_choices(self, request, first, action_location)  # type: ignore[arg-type]

    def run_on_selected(self, request: HttpRequest, selected: Any, *, staff_action: StaffAction) -> HttpResponse | None:
        """Run it on the selected rows whose state allows it; what it asks first is asked on a page of its own."""
        if staff_action.run_on_rows is not None:
            context = ActionContext(user=request.user, at=clock.now())
            messages.success(request, str(staff_action.run_on_rows(selected, context)))
            return None
        most = MAX_ROWS_OF_FORM if staff_action.bulk_form else MAX_ROWS
        rows = list(selected[: most + 1])
        if len(rows) > most:
            messages.error(request, _("At most %(count)s rows at once.") % {"count": most})
            return None
        if staff_action.bulk_form:
            return self.ask_about_selected(request, staff_action, staff_action.bulk_form, rows)
        available = [row for row in rows if staff_action.is_available(row)]
        if not available:
            text = _("“%(action)s” is not available for any of the selected rows.")
            messages.warning(request, text % {"action": staff_action.label})
        self.run_staff_action(request, staff_action, available, {})
        return None

    def ask_about_selected(
        self, request: HttpRequest, staff_action: StaffAction, form_class: type[ActionForm], rows: list[Any]
    ) -> HttpResponse:
        """The page that asks once for all rows; once it is submitted, what came of the action on each."""
        data = request.POST if "_form_submitted" in request.POST else None
        form = form_class(data=data, request=request, rows=rows, is_destructive=staff_action.is_destructive)
        context = self.admin_site.each_context(request)
        context |= {"title": staff_action.label, "opts": self.opts, "staff_action": staff_action, "rows": rows}
        if not form.is_valid():
            context |= {"form": form}
            return render(request, "admin/selected_rows.html", context, status=422 if form.is_bound else 200)
        action_context = ActionContext(user=request.user, at=clock.now(), data=form.cleaned_data)
        refused = _("“%(action)s” is not available now.") % {"action": staff_action.label}
        results = [
            self.run_on_row(request, staff_action, row, action_context)
            if staff_action.is_available(row)
            else RowResult(row, refused, is_done=False)
            for row in staff_action.in_order(rows)
        ]
        results.sort(key=lambda result: result.is_done)
        context |= {"results": results, "done": sum(result.is_done for result in results)}
        return render(request, "admin/selected_rows.html", context)

    def run_staff_action(
        self, request: HttpRequest, staff_action: StaffAction, rows: Iterable[Any], data: dict[str, Any]
    ) -> None:
        """Run it on each row by itself; show what came of it.

        An ActionError about a field of the form is raised: it is shown there.
        """
        context = ActionContext(user=request.user, at=clock.now(), data=data)
        results = [self.run_on_row(request, staff_action, row, context, raised=frozenset(data)) for row in rows]
        done = [result.text for result in results if result.is_done]
        if len(done) == 1:
            messages.success(request, done[0])
        elif done:
            text = ngettext("“%(action)s”: %(count)s row.", "“%(action)s”: %(count)s rows.", len(done))
            messages.success(request, text % {"action": staff_action.label, "count": len(done)})
        errors = dict.fromkeys(result.text for result in results if not result.is_done)  # each text once, in order
        for text in list(errors)[:MAX_ERRORS_SHOWN]:
            messages.error(request, text)

    def run_on_row(
        self,
        request: HttpRequest,
        staff_action: StaffAction,
        row: Any,
        context: ActionContext,
        *,
        raised: Collection[str] = (),
    ) -> RowResult:
        """Run it on this row, so that its failure leaves others done. ActionErrors about the fields `raised` are."""
        try:
            with transaction.atomic():
                message = str(staff_action.run(row, context))
        except ActionError as error:
            if error.field in raised:
                raise
            return RowResult(row, str(error), is_done=False)
        except ValidationError as error:
            return RowResult(row, " ".join(error.messages), is_done=False)
        except Exception as error:  # staff read the reason on their page; the traceback is in the log
            log.exception("%s on %s failed", staff_action.name, row)
            reason = {"action": staff_action.label, "error": work.describe(error)[:300]}
            return RowResult(row, _("“%(action)s” failed: %(error)s") % reason, is_done=False)
        if row is not None:
            self.log_change(request, row, str(staff_action.label))  # type: ignore[attr-defined]
        return RowResult(row, message, is_done=True)
