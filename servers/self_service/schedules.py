"""The page of a server's schedules: what is done by itself, and when. Times are in UTC, as the panel's are."""

from datetime import time
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.permissions import Action
from core import clock
from servers.forms import clean_server_name
from servers.models import Server
from servers.self_service import cron, operations
from servers.self_service.pages import render_section, requested, server_in

ACTS = ("schedule.create", "schedule.switch", "schedule.run", "schedule.delete")
DONE = {
    "on": _("Switching the schedule on."),
    "off": _("Switching the schedule off."),
    "run": _("Running the schedule now."),
    "delete": _("Deleting the schedule."),
}
BACKUP, COMMAND = "backup", "command"
TASKS = {
    BACKUP: _("Make a backup"),
    "restart": _("Restart the server"),
    "start": _("Start the server"),
    "stop": _("Stop the server"),
    COMMAND: _("Send a command to the console"),
}
NIGHT = time(4)


class ScheduleForm(forms.Form):
    """A new schedule; as it is opened, it makes a backup every night."""

    name = forms.CharField(label=_("Name"), max_length=100, initial=_("Every night"))
    task = forms.ChoiceField(label=_("What"), choices=list(TASKS.items()), initial=BACKUP)
    command = forms.CharField(
        label=_("Command"), max_length=500, required=False, help_text=_("Where a command is sent, such as: save-all.")
    )
    every = forms.ChoiceField(
        label=_("How often"),
        choices=[
            *(("hour", _("Every hour")), ("day", _("Every day")), ("week", _("Every week"))),
            ("cron", _("Advanced: a cron line")),
        ],
        initial="day",
    )
    at = forms.TimeField(
        label=_("Time (UTC)"),
        initial=NIGHT,
        input_formats=["%H:%M"],
        required=False,
        help_text=_("Of a schedule for every hour, only the minutes count."),
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
    )
    weekday = forms.ChoiceField(
        label=_("Weekday"),
        choices=[((number + 1) % 7, name) for number, name in WEEKDAYS.items()],
        required=False,
        help_text=_("Of a schedule for every week."),
    )
    line = forms.CharField(
        label=_("Cron line"),
        max_length=100,
        required=False,
        help_text=_("Minute, hour, day of the month, month and day of the week, in UTC, such as: */30 * * * *."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_name(self) -> str:
        """See `clean_server_name`."""
        return clean_server_name(self.cleaned_data["name"])

    def clean(self) -> dict[str, Any]:
        """What the chosen task and times need."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("task") == COMMAND and not cleaned.get("command"):
            self.add_error("command", gettext("Enter the command."))
        every = cleaned.get("every")
        if every == "cron" and not cron.is_valid(cleaned.get("line", "")):
            self.add_error("line", gettext("Enter five fields with numbers in their ranges, such as: 0 4 * * 1."))
        if every != "cron" and "at" in cleaned and cleaned["at"] is None:
            self.add_error("at", gettext("Enter a time such as 04:00."))
        if every == "week" and "weekday" in cleaned and not cleaned["weekday"]:
            self.add_error("weekday", gettext("Choose a weekday."))
        return cleaned

    def asked(self) -> dict[str, Any]:
        """The schedule as it is asked for. What it sends may be secret, and is in no audit entry."""
        entered = self.cleaned_data
        task, at = entered["task"], entered["at"] or NIGHT
        lines = {
            "hour": f"{at.minute} * * * *",
            "day": f"{at.minute} {at.hour} * * *",
            "week": f"{at.minute} {at.hour} * * {entered['weekday']}",
            "cron": " ".join(entered["line"].split()),
        }
        action, payload = {BACKUP: (BACKUP, ""), COMMAND: (COMMAND, entered["command"])}.get(task, ("power", task))
        arguments = {"name": entered["name"], "cron": lines[entered["every"]], "action": action}
        return {"arguments": arguments, "content": payload}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The schedules; a POST asks for a new one."""
    server = server_in(request, "schedules", pk, Action.SERVER_CONTENT)
    form = ScheduleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        requested(
            request,
            gettext("Making the schedule."),
            server=server,
            kind="schedule.create",
            **form.asked(),
        )
        return redirect("servers:schedules", pk=pk)
    shown = operations.show(server, "schedules", at=clock.now(), acts=ACTS)
    context = {
        "shown": shown,
        "schedules": [_readable(each) for each in shown.rows or []],
        "is_live": shown.is_busy,
        "form": form,
    }
    status = 422 if form.errors else 200
    return render_section(request, server, "servers/schedules.html", context, section="schedules", status=status)


def _readable(schedule: dict[str, Any]) -> dict[str, Any]:
    """A schedule as the page shows it."""
    return {
        **schedule,
        "when": cron.in_words(schedule["cron"]),
        "next": parse_datetime(schedule["next_at"]) if schedule["next_at"] else None,
        "last": parse_datetime(schedule["last_at"]) if schedule["last_at"] else None,
        "does": [_task_in_words(each) for each in schedule["tasks"]],
    }


def _task_in_words(task: dict[str, str]) -> str:
    if task["action"] == COMMAND:
        return gettext("Command: %(line)s") % {"line": task["payload"]}
    return str(TASKS.get(task["payload"] if task["action"] == "power" else task["action"], task["payload"]))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, pk: UUID, ref: str, act: str) -> HttpResponse:
    """Switch a schedule on or off, run it now, or delete it, which is asked about first."""
    if act not in DONE:
        raise Http404
    server = server_in(request, "schedules", pk, Action.SERVER_CONTENT)
    schedule = _listed(server, ref)
    if request.method == "POST":
        requested(
            request,
            str(DONE[act]),
            server=server,
            kind="schedule.switch" if act in {"on", "off"} else f"schedule.{act}",
            target=ref,
            arguments={"name": schedule["name"], **({"is_active": act == "on"} if act in {"on", "off"} else {})},
        )
    elif act == "delete":
        context = {
            "title": gettext("Delete “%(name)s”?") % schedule,
            "consequences": [gettext("What it does is no longer done by itself.")],
            "button": gettext("Delete"),
            "back": reverse("servers:schedules", args=[pk]),
        }
        return render_section(request, server, "servers/confirm.html", context, section="schedules", part="page")
    return redirect("servers:schedules", pk=pk)


def _listed(server: Server, ref: str) -> dict[str, Any]:
    """The schedule that the page showed. Raises a 404 for somebody else's, or one that was deleted meanwhile."""
    for schedule in operations.show(server, "schedules", at=clock.now()).rows or []:
        if schedule["ref"] == ref:
            return dict(schedule)
    raise Http404
