"""The page of a server's network: its ports with a note beside each, and the names of its addresses."""

import re
from dataclasses import replace
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.permissions import Action
from core import clock
from servers.drivers.self_service import Network, ReverseDns
from servers.models import OperationOutcome, Server
from servers.self_service import operations
from servers.self_service.pages import render_section, requested, server_in

# A name in the DNS, with at least one period: no last part is a number, as that of an address would be.
LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
HOST_NAME = re.compile(rf"({LABEL}\.)+(?![0-9]+$){LABEL}")


class NoteForm(forms.Form):
    """What a port is for."""

    ref = forms.CharField(max_length=64, widget=forms.HiddenInput)
    note = forms.CharField(
        label=_("Note"), max_length=100, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


class NameForm(forms.Form):
    """The name of an address; empty for the provider's own."""

    address = forms.CharField(max_length=45, widget=forms.HiddenInput)
    name = forms.CharField(
        label=_("Name"),
        max_length=253,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "host.example.com"}),
    )

    def clean_name(self) -> str:
        """In lower case, without a period at its end. Raises ValidationError for what is no name of a host."""
        name: str = self.cleaned_data["name"].lower().removesuffix(".")
        if name and not HOST_NAME.fullmatch(name):
            raise forms.ValidationError(_("Enter a whole name, such as host.example.com."))
        return name


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ports and addresses; a POST asks for another note of a port."""
    server = server_in(request, "network", pk, Action.SERVER_CONTENT)
    form = NoteForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return _render(request, server, note=form)
    _require_listed(server, Network, "network", "ref", form.cleaned_data["ref"])
    requested(
        request,
        gettext("Saving the note."),
        server=server,
        kind="network.note",
        target=form.cleaned_data["ref"],
        arguments={"note": form.cleaned_data["note"]},
    )
    return redirect("servers:network", pk=pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def reverse_name(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for another name of an address."""
    server = server_in(request, "network", pk, Action.SERVER_CONTENT)
    if request.method != "POST":  # who had to sign in first comes back by a link
        return redirect("servers:network", pk=pk)
    form = NameForm(request.POST)
    if not form.is_valid():
        return _render(request, server, name=form)
    _require_listed(server, ReverseDns, "reverse_dns", "address", form.cleaned_data["address"])
    requested(
        request,
        gettext("Saving the name."),
        server=server,
        kind="network.name",
        target=form.cleaned_data["address"],
        arguments={"name": form.cleaned_data["name"]},
    )
    return redirect("servers:network", pk=pk)


def _require_listed(server: Server, ability: type, kind: str, key: str, value: str) -> None:
    """Raise a 404 for what is not listed of this server, such as somebody else's address."""
    is_able = isinstance(operations.driver_for(server), ability)
    rows = operations.show(server, kind, at=clock.now()).rows if is_able else None
    if value not in [each[key] for each in rows or []]:
        raise Http404


def _render(
    request: HttpRequest, server: Server, *, note: NoteForm | None = None, name: NameForm | None = None
) -> HttpResponse:
    """The parts that the server's provider has. What was refused of a name stands at its field."""
    driver, at = operations.driver_for(server), clock.now()
    context: dict[str, Any] = {}
    shown: list[operations.SectionContent] = []
    if isinstance(driver, Network):
        ports = operations.show(server, "network", at=at, acts=["network.note"])
        context |= {"shown": ports, "ports": [_with_form(each, "ref", NoteForm, note) for each in ports.rows or []]}
        shown.append(ports)
    if isinstance(driver, ReverseDns):
        named = operations.show(server, "reverse_dns", at=at, acts=["network.name"])
        newest = {each.target: each for each in reversed(named.operations) if not each.is_open}
        problems = {key: each.message for key, each in newest.items() if each.outcome != OperationOutcome.DONE}
        rows = [_with_form(each, "address", NameForm, name) for each in named.rows or []]
        context["addresses"] = [{**each, "problem": problems.get(each["address"], "")} for each in rows]
        context["named"] = replace(named, operations=[each for each in named.operations if each.is_open])
        shown.append(named)
    form = next((each for each in (note, name) if each is not None and each.is_bound), None)
    context["is_live"] = form is None and any(each.is_busy or each.is_outdated for each in shown)
    status = 422 if form is not None and form.errors else 200
    return render_section(request, server, "servers/network.html", context, section="network", status=status)


def _with_form(row: dict[str, Any], key: str, form_class: type[forms.Form], sent: forms.Form | None) -> dict[str, Any]:
    """What is listed, with its form: what was sent for it, or what it has now."""
    is_sent = sent is not None and sent.is_bound and sent.data.get(key) == row[key]
    form = sent if is_sent else form_class(initial=row, auto_id=f"{row[key]}-%s")
    return {**row, "form": form}
