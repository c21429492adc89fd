"""The page of a server's backups."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.permissions import Action
from core import clock
from core.templatetags.ui import instant
from servers.forms import clean_server_name
from servers.models import Server
from servers.self_service import operations
from servers.self_service.pages import render_section, requested, server_in

ACTS = ("backup.create", "backup.restore", "backup.lock", "backup.delete", "backup.download")
DONE = {
    "restore": _("Restoring the backup. The server stops until that is done."),
    "delete": _("Deleting the backup."),
    "lock": _("Locking the backup, so that nobody deletes it by mistake."),
    "unlock": _("Unlocking the backup."),
    "download": _("Preparing the download. Its link appears here in a moment."),
}
CONFIRMED = {"restore", "delete"}


class BackupForm(forms.Form):
    """A new backup."""

    name = forms.CharField(
        label=_("Name of the backup"),
        max_length=100,
        help_text=_("Such as: before the update."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_name(self) -> str:
        """See `clean_server_name`."""
        return clean_server_name(self.cleaned_data["name"])


class ConfirmForm(forms.Form):
    """The server's name, typed."""

    typed = forms.CharField(widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}))

    def __init__(self, server: Server, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._name = server.name
        self.fields["typed"].label = _("Type %(name)s to confirm") % {"name": server.name}

    def clean_typed(self) -> str:
        """The name, letter for letter."""
        typed: str = self.cleaned_data["typed"]
        if typed.strip() != self._name:
            raise forms.ValidationError(_("This is not the server's name."))
        return typed


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The backups; a POST asks for a new one."""
    server = server_in(request, "backups", pk, Action.SERVER_BACK_UP)
    form = BackupForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        requested(
            request,
            gettext("Making the backup. You can go on playing meanwhile."),
            server=server,
            kind="backup.create",
            arguments={"name": form.cleaned_data["name"]},
        )
        return redirect("servers:backups", pk=pk)
    return _render(request, server, form)


def _render(request: HttpRequest, server: Server, form: BackupForm) -> HttpResponse:
    at = clock.now()
    shown = operations.show(server, "backups", at=at, acts=ACTS)
    backups = [_readable(each) for each in shown.rows or []]
    context = {
        "shown": shown,
        "backups": backups,
        "links": [each for each in shown.operations if each.kind == "backup.download" and each.result],
        "free": max(0, server.backups_limit - sum(each["is_counted"] for each in backups)),
        "is_live": shown.is_busy or any(each["is_pending"] for each in backups),
        "form": form,
    }
    status = 422 if form.errors else 200
    return render_section(request, server, "servers/backups.html", context, section="backups", status=status)


def _readable(backup: dict[str, Any]) -> dict[str, Any]:
    """A backup as the page shows it; one that failed takes no place."""
    created: datetime | None = parse_datetime(backup["created_at"])
    is_pending = not backup["completed_at"]
    is_failed = not is_pending and not backup["is_successful"]
    return {
        **backup,
        "created": created,
        "is_pending": is_pending,
        "is_failed": is_failed,
        "is_counted": not is_failed,
    }


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, pk: UUID, ref: str, act: str) -> HttpResponse:
    """Restore, delete, lock, unlock or download a backup. The first two ask for the server's name."""
    if act not in DONE:
        raise Http404
    server = server_in(request, "backups", pk, Action.SERVER_CONTENT)
    listed = operations.show(server, "backups", at=clock.now()).rows or []
    backup = next((each for each in listed if each["ref"] == ref), None)
    if backup is None:  # somebody else's, or deleted meanwhile
        raise Http404
    form = ConfirmForm(server, request.POST if request.method == "POST" else None)
    if act in CONFIRMED and not (request.method == "POST" and form.is_valid()):
        context = {**_question(act, backup), "form": form, "back": reverse("servers:backups", args=[pk])}
        status = 422 if form.errors else 200
        return render_section(
            request, server, "servers/confirm.html", context, section="backups", part="page", status=status
        )
    if request.method == "POST":
        is_lock = act in {"lock", "unlock"}
        requested(
            request,
            str(DONE[act]),
            server=server,
            kind="backup.lock" if is_lock else f"backup.{act}",
            target=ref,
            arguments={"is_locked": act == "lock"} if is_lock else {},
        )
    return redirect("servers:backups", pk=pk)


def _question(act: str, backup: dict[str, Any]) -> dict[str, Any]:
    named = {"name": backup["name"], "at": instant(_readable(backup)["created"])}
    if act == "restore":
        return {
            "title": gettext("Restore “%(name)s”?") % named,
            "consequences": [
                format_html(gettext("All files become as they were on {}."), named["at"]),
                gettext("What was changed or added since is deleted."),
                gettext("The server stops until that is done."),
            ],
            "button": gettext("Restore"),
        }
    return {
        "title": gettext("Delete “%(name)s”?") % named,
        "consequences": [format_html(gettext("The backup of {} is gone for good."), named["at"])],
        "button": gettext("Delete"),
    }
