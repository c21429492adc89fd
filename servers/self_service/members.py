"""The page of who may do what with one server. Owners and administrators of the organization may do everything."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.models import AccessLevel, Membership, Role
from accounts.permissions import Action
from core import clock
from servers import services
from servers.models import Server, ServerAccess
from servers.self_service.pages import render_section, server_in

LEVELS = [
    ("", _("No access")),
    (AccessLevel.VIEW, _("View: see status and figures")),
    (AccessLevel.OPERATE, _("Operate: also start, stop and make backups")),
    (AccessLevel.MANAGE, _("Manage: everything but what costs money")),
]


class AccessForm(forms.Form):
    """What one member may do."""

    member = forms.UUIDField(widget=forms.HiddenInput)
    level = forms.ChoiceField(label=_("Access"), choices=LEVELS, required=False)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The members with their level; a POST gives one of them another."""
    server = server_in(request, "access", pk, Action.SERVER_ACCESS)
    form = AccessForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        context = {"members": _members_of(server, form)}
        status = 422 if form.errors else 200
        return render_section(request, server, "servers/access.html", context, section="access", status=status)
    membership = next((each for each in _memberships(server) if each.user_id == form.cleaned_data["member"]), None)
    if membership is None:
        raise Http404
    level = form.cleaned_data["level"]
    is_set = services.give_access(
        server=server,
        user_id=membership.user_id,
        level=AccessLevel(level) if level else None,
        actor=request.user,  # type: ignore[arg-type]
        at=clock.now(),
    )
    if is_set:
        messages.success(request, gettext("%(name)s: saved.") % {"name": membership.user.full_name})
    else:
        messages.error(request, gettext("Owners and administrators may do everything with every server."))
    return redirect("servers:access", pk=pk)


def _memberships(server: Server) -> list[Membership]:
    rows = Membership.objects.filter(organization=server.organization_id).select_related("user")
    return sorted(rows, key=lambda each: each.user.full_name.casefold())


def _members_of(server: Server, form: AccessForm) -> list[dict[str, Any]]:
    """Each member with their form; owners and administrators have none."""
    levels = dict(ServerAccess.objects.filter(server=server).values_list("user_id", "level"))
    shown = []
    for each in _memberships(server):
        initial = {"member": each.user_id, "level": levels.get(each.user_id, "")}
        is_sent = form.is_bound and form.data.get("member") == str(each.user_id)
        own = form if is_sent else AccessForm(initial=initial, auto_id=f"{each.user_id.hex}-%s")
        shown.append({"membership": each, "form": own if each.role == Role.MEMBER else None})
    return shown
