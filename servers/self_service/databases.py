"""The page of a server's databases. A password is shown once, to who asked for it, and kept nowhere else."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.validators import RegexValidator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import Action
from core import clock, tenancy
from servers.models import Operation, OperationOutcome, Server
from servers.self_service import operations
from servers.self_service.backups import ConfirmForm
from servers.self_service.pages import render_section, requested, server_in

WITH_PASSWORD = ("database.create", "database.password", "database.rotate")
ACTS = (*WITH_PASSWORD, "database.delete")
DONE = {
    "password": _("Asking for the password. It can be shown here in a moment."),
    "rotate": _("Changing the password. The new one can be shown here in a moment."),
    "delete": _("Deleting the database."),
}


class DatabaseForm(forms.Form):
    """A new database."""

    name = forms.CharField(
        label=_("Name of the database"),
        min_length=3,
        max_length=48,
        validators=[RegexValidator(r"^[A-Za-z0-9_-]*\Z", _("Use only letters, digits, hyphens and underscores."))],
        help_text=_("A prefix is added to it."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    remote = forms.CharField(
        label=_("Connections from"),
        max_length=15,
        initial="%",
        validators=[
            RegexValidator(r"^[0-9%.]*\Z", _("Enter an IP address such as 203.0.113.7, or a percent sign for any."))
        ],
        help_text=_("An IP address, or % for any."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The databases; a POST asks for a new one."""
    server = server_in(request, "databases", pk, Action.SERVER_CONTENT)
    form = DatabaseForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        requested(
            request,
            gettext("Making the database. Its password can be shown here in a moment."),
            server=server,
            kind="database.create",
            arguments=form.cleaned_data,
        )
        return redirect("servers:databases", pk=pk)
    return _render(request, server, form)


def _render(request: HttpRequest, server: Server, form: DatabaseForm) -> HttpResponse:
    shown = operations.show(server, "databases", at=clock.now(), acts=ACTS)
    context = {
        "shown": shown,
        "ready": [each for each in shown.operations if each.result and each.requested_by_id == request.user.pk],
        "free": max(0, server.databases_limit - len(shown.rows or [])),
        "is_live": shown.is_busy,
        "form": form,
    }
    status = 422 if form.errors else 200
    return render_section(request, server, "servers/databases.html", context, section="databases", status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, pk: UUID, ref: str, act: str) -> HttpResponse:
    """Ask for a database's password, change it, or delete the database. The last two are asked about first."""
    if act not in DONE:
        raise Http404
    server = server_in(request, "databases", pk, Action.SERVER_CONTENT)
    listed = operations.show(server, "databases", at=clock.now()).rows or []
    database = next((each for each in listed if each["ref"] == ref), None)
    if database is None:  # somebody else's, or deleted meanwhile
        raise Http404
    form = ConfirmForm(server, request.POST if request.method == "POST" else None) if act == "delete" else None
    is_confirmed = request.method == "POST" and (form is None or form.is_valid())
    if act != "password" and not is_confirmed:
        context = {**_question(act, database), "form": form, "back": reverse("servers:databases", args=[pk])}
        status = 422 if form and form.errors else 200
        return render_section(
            request, server, "servers/confirm.html", context, section="databases", part="page", status=status
        )
    if is_confirmed:
        requested(
            request,
            str(DONE[act]),
            server=server,
            kind=f"database.{act}",
            target=ref,
            arguments={"name": database["name"]},
        )
    return redirect("servers:databases", pk=pk)


def _question(act: str, database: dict[str, Any]) -> dict[str, Any]:
    if act == "delete":
        return {
            "title": gettext("Delete %(name)s?") % database,
            "consequences": [
                gettext("The database and all that is in it are gone for good."),
                gettext("Backups of the server have no copy of it."),
            ],
            "button": gettext("Delete"),
        }
    return {
        "title": gettext("Change the password of %(name)s?") % database,
        "consequences": [gettext("What uses the old password can no longer connect.")],
        "button": gettext("Change the password"),
    }


@login_required
@require_POST
def password(request: HttpRequest, pk: UUID, operation: UUID) -> HttpResponse:
    """Show the password that this operation got: once, for some minutes, to who asked for it."""
    server = server_in(request, "databases", pk, Action.SERVER_CONTENT)
    since = clock.now() - operations.SHOWN_FOR
    with tenancy.as_worker(server):
        rows = Operation.objects.select_for_update().filter(
            server=server,
            kind__in=WITH_PASSWORD,
            outcome=OperationOutcome.DONE,
            requested_at__gte=since,
            requested_by=request.user.pk,
        )
        found = next((each for each in rows.filter(pk=operation) if each.result), None)
        if found is not None:
            Operation.objects.filter(pk=found.pk).update(result=None)
    if found is None:
        messages.error(request, gettext("This password was shown already, or it is too late. Ask for it again."))
        return redirect("servers:databases", pk=pk)
    listed = operations.show(server, "databases", at=clock.now()).rows or []
    name = found.arguments["name"]
    database = next((each for each in listed if name in {each["name"], each["name"].partition("_")[2]}), None)
    context = {
        "title": gettext("The password of %(name)s") % {"name": name},
        "password": found.result["password"],
        "facts": _how_to_connect(database) if database else [],
        "hint": gettext("Copy it now: this page shows it once. You can always ask for it again."),
        "back": reverse("servers:databases", args=[pk]),
    }
    return render_section(request, server, "servers/password.html", context, section="databases", part="page")


def _how_to_connect(database: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (gettext("Address"), f"{database['host']}:{database['port']}"),
        (gettext("Database"), database["name"]),
        (gettext("User"), database["username"]),
    ]
