"""The page of a server's ports: which there are, and a note beside each."""

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
from servers.self_service import operations
from servers.self_service.pages import render_section, requested, server_in


class NoteForm(forms.Form):
    """What a port is for."""

    ref = forms.CharField(max_length=64, widget=forms.HiddenInput)
    note = forms.CharField(
        label=_("Note"), max_length=100, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The ports; a POST asks for another note of one of them."""
    server = server_in(request, "network", pk, Action.SERVER_CONTENT)
    shown = operations.show(server, "network", at=clock.now(), acts=["network.note"])
    form = NoteForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        context = {"shown": shown, "ports": [_with_form(each, form) for each in shown.rows or []]}
        is_live = not form.is_bound and (shown.is_busy or shown.is_outdated)
        status = 422 if form.errors else 200
        context["is_live"] = is_live
        return render_section(request, server, "servers/network.html", context, section="network", status=status)
    port = next((each for each in shown.rows or [] if each["ref"] == form.cleaned_data["ref"]), None)
    if port is None:  # somebody else's
        raise Http404
    requested(
        request,
        gettext("Saving the note."),
        server=server,
        kind="network.note",
        target=port["ref"],
        arguments={"note": form.cleaned_data["note"]},
    )
    return redirect("servers:network", pk=pk)


def _with_form(port: dict[str, Any], form: NoteForm) -> dict[str, Any]:
    is_sent = form.is_bound and form.data.get("ref") == port["ref"]
    own = form if is_sent else NoteForm(initial={"ref": port["ref"], "note": port["note"]}, auto_id=f"{port['ref']}-%s")
    return {**port, "form": own}
