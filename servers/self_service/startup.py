"""The page of a game's settings, which are checked by the egg's rules before they are sent."""

import csv
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import escape
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.permissions import Action
from core import clock
from servers.drivers.self_service import InstallsAgain
from servers.eggs import rules
from servers.models import Server
from servers.self_service import operations
from servers.self_service.pages import render_section, server_in

ACTS = ("startup.variable", "startup.image")
MOST = 20
LONGEST = 2000
# What an egg's install script reads, by the names that eggs give it. The first is looked for in what users read.
MODPACK = re.compile(r"\b(mod ?pack|ftb pack)(?!.*\bmode\b)", re.IGNORECASE)
VERSION = re.compile(r"(VERSION|(^|_)BUILD)(_(ID|STRING|NUMBER|TYPE))?$")

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class StartupForm(forms.Form):
    """The settings that the customer may change, and the image where there are several."""

    def __init__(self, startup: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        kwargs["prefix"] = "set"
        super().__init__(*args, **kwargs)
        self._startup = startup
        self._variables = {each["env_variable"]: each for each in startup["variables"] if each["is_editable"]}
        images = [(image, label) for label, image in startup["images"].items()]
        if len(images) > 1 and startup["image"] in dict(images):
            is_java = all("java" in f"{label} {image}".lower() for image, label in images)
            label = _("Java version") if is_java else _("Version")
            self.fields["image"] = forms.ChoiceField(label=label, choices=images, initial=startup["image"])
        for name, variable in self._variables.items():
            self.fields[name] = _field(variable)

    def clean(self) -> dict[str, Any]:
        """Each value by the rules of its variable."""
        cleaned: dict[str, Any] = super().clean() or {}
        for name, variable in self._variables.items():
            if isinstance(self.fields[name], forms.BooleanField):  # what has no value and needs none stays so
                unticked = "0" if variable["value"] or _is_required(variable["rules"]) else ""
                cleaned[name] = "1" if cleaned.get(name) else unticked
        for name, variable in self._variables.items():
            for violation in rules.violations(variable["rules"], cleaned.get(name, "")) if name in cleaned else ():
                self.add_error(name, str(violation.message))
        return cleaned

    def groups(self) -> list[tuple["StrOrPromise", list[forms.BoundField], bool]]:
        """The fields under their headings, and whether a change of them takes effect when the game is installed."""
        modpack, version, others = list[forms.BoundField](), list[forms.BoundField](), list[forms.BoundField]()
        for name in self.fields:
            if name in self._variables and MODPACK.search(self._variables[name]["name"]):
                modpack.append(self[name])
            elif name in self._variables and VERSION.search(name) and not _is_boolean(self._variables[name]["rules"]):
                version.append(self[name])
            else:
                others.append(self[name])
        groups = (_("Modpack"), modpack, True), (_("Game version"), version, True), (_("Settings"), others, False)
        return [group for group in groups if group[1]]

    def changes(self) -> list[dict[str, Any]]:
        """What to ask for: only what is another value than it was."""
        entered = self.cleaned_data
        asked: list[dict[str, Any]] = [
            {"kind": "startup.variable", "target": name, "content": entered[name]}
            for name, variable in self._variables.items()
            if entered[name] != variable["value"]
        ]
        image = entered.get("image", self._startup["image"])
        if image != self._startup["image"]:
            asked.append({"kind": "startup.image", "arguments": {"image": image}})
        return asked


def _field(variable: Mapping[str, Any]) -> forms.Field:
    """A box to tick for yes or no, a choice where the rules list the values, a text otherwise.

    What eggs say of themselves is not ours: escaped.
    """
    described = {"label": variable["name"], "help_text": escape(variable["description"]), "initial": variable["value"]}
    if _is_boolean(variable["rules"]) and variable["value"] in {"", "0", "1"}:
        return forms.BooleanField(required=False, **described | {"initial": variable["value"] == "1"})
    listed = _choices(variable["rules"])
    is_required = _is_required(variable["rules"])
    if not listed:
        widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
        return forms.CharField(required=is_required, max_length=LONGEST, widget=widget, **described)
    if not is_required:
        listed = [("", gettext("None")), *listed]
    if variable["value"] not in dict(listed):
        listed = [*listed, (variable["value"], variable["value"])]
    return forms.ChoiceField(required=is_required, choices=listed, **described)


def _is_required(line: str) -> bool:
    return "required" in line.lower().split("|")


def _is_boolean(line: str) -> bool:
    return bool({"boolean", "bool"} & {entry.strip().lower() for entry in line.split("|")})


def _choices(line: str) -> list[tuple[str, str]]:
    """The values that the rules allow where they list them, with what to call them."""
    for entry in line.split("|"):
        name, _colon, parameters = entry.strip().partition(":")
        if name.lower() in {"boolean", "bool"}:
            return [("1", gettext("Yes")), ("0", gettext("No"))]
        if name.lower() == "in":
            return [(each, each) for each in next(csv.reader([parameters]), []) if each]
    return []


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The settings; a POST asks for all that were changed."""
    server = server_in(request, "startup", pk, Action.SERVER_CONTENT)
    shown = operations.show(server, "startup", at=clock.now(), acts=ACTS, most=MOST)
    is_sent = request.method == "POST" and shown.rows is not None
    form = StartupForm(shown.rows, request.POST if is_sent else None) if shown.rows else None
    if form is not None and is_sent and form.is_valid():
        _save(request, server, form)
        return redirect("servers:startup", pk=pk)
    # While something is under way nothing is edited: what is shown is going to change.
    is_live = not is_sent and (shown.is_busy or shown.is_outdated)
    fixed = [each for each in (shown.rows or {}).get("variables", []) if not each["is_editable"]]
    can_reinstall = isinstance(operations.driver_for(server), InstallsAgain)
    context = {"shown": shown, "form": form, "fixed": fixed, "is_live": is_live, "can_reinstall": can_reinstall}
    status = 422 if form is not None and form.errors else 200
    return render_section(request, server, "servers/startup.html", context, section="startup", status=status)


def _save(request: HttpRequest, server: Server, form: StartupForm) -> None:
    changes = form.changes()
    try:
        for change in changes:
            operations.request(server=server, actor=request.user, at=clock.now(), **change)  # type: ignore[arg-type]
    except operations.OperationRefused as error:
        messages.error(request, str(error))
        return
    if changes:
        messages.success(request, gettext("Saving. The game uses it from its next start on."))
    else:
        messages.info(request, gettext("Nothing was changed."))
