"""Building a machine or a container anew, and the root password of a machine."""

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import User
from accounts.permissions import Action
from core import clock
from servers.drivers.self_service import Rebuild, RootPassword
from servers.models import Server
from servers.self_service import operations, rebuilding
from servers.self_service.backups import ConfirmForm
from servers.self_service.pages import render_section, requested, server_in
from servers.self_service.rebuilding import RebuildOptions


class RebuildForm(ConfirmForm):
    """What to build it from, and the server's name, typed."""

    image = forms.ChoiceField(label=_("Image"))
    ssh_keys = forms.MultipleChoiceField(
        label=_("SSH keys"),
        required=False,
        help_text=_("Who may sign in as root."),
        widget=forms.CheckboxSelectMultiple,
    )
    field_order = ("image", "ssh_keys", "typed")

    def __init__(self, server: Server, options: RebuildOptions, *args: Any, **kwargs: Any) -> None:
        initial = {"image": next(iter(options.images)), "ssh_keys": options.chosen}
        super().__init__(server, *args, initial=initial, **kwargs)
        self._options = options
        self.fields["image"].choices = list(options.images.items())  # type: ignore[attr-defined]
        if options.asks_for_keys and options.keys:
            choices = [(each, name) for each, (_line, name) in options.keys.items()]
            self.fields["ssh_keys"].choices = choices  # type: ignore[attr-defined]
        else:
            del self.fields["ssh_keys"]

    def arguments(self) -> dict[str, Any]:
        """What is different from now on in what the server is built from; only after `is_valid()`."""
        chosen = {"image": self.cleaned_data["image"]}
        if not self._options.asks_for_keys:
            return chosen
        return chosen | {"ssh_keys": [self._options.keys[each][0] for each in self.cleaned_data.get("ssh_keys", ())]}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Build it anew, after an image was chosen and the server's name typed."""
    server = server_in(request, "settings", pk, Action.SERVER_CONTENT)
    driver = operations.driver_for(server)
    if not isinstance(driver, Rebuild):
        raise Http404
    options = rebuilding.options_of(server, driver, cast("User", request.user))
    form = RebuildForm(server, options, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        requested(
            request,
            gettext("Rebuilding. This page shows when that is done."),
            server=server,
            kind="rebuild",
            arguments=form.arguments(),
        )
        return redirect("servers:settings", pk=pk)
    context = {
        "title": gettext("Rebuild “%(name)s”?") % {"name": server.name},
        "consequences": _consequences(options),
        "button": gettext("Rebuild"),
        "form": form,
        "back": reverse("servers:settings", args=[pk]),
    }
    status = 422 if form.errors else 200
    return render_section(
        request, server, "servers/confirm.html", context, section="settings", part="page", status=status
    )


def _consequences(options: RebuildOptions) -> list[str]:
    if options.facts.reinstall_keeps_data:
        return [
            gettext("The folders that are kept stay as they are."),
            gettext("The container stops until that is done."),
        ]
    texts = [gettext("Everything on its disk is deleted."), gettext("The machine stops until that is done.")]
    if options.facts.rebuild_keeps_access:
        return [*texts, gettext("Root's password and SSH keys become those that it was ordered with.")]
    if options.facts.takes_root_password:
        return [*texts, gettext("Root gets a new password, which you can see in the settings once.")]
    return [*texts, gettext("Root gets a new password. It comes by email where you choose no key.")]


@login_required
@require_POST
def show_password(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show the root password, once."""
    server = server_in(request, "settings", pk, Action.SERVER_CONTENT)
    password = rebuilding.take_password(server=server, actor=cast("User", request.user), at=clock.now())
    if not password:
        messages.error(request, gettext("This password was shown already."))
        return redirect("servers:settings", pk=pk)
    context = {
        "title": gettext("The root password"),
        "password": password,
        "facts": [(gettext("Address"), server.address), (gettext("User"), "root")],
        "hint": gettext("Copy it now: it is shown once, and we keep it no longer. Change it when you sign in."),
        "back": reverse("servers:settings", args=[pk]),
    }
    return render_section(request, server, "servers/password.html", context, section="settings", part="page")


@login_required
@require_POST
def new_password(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Have root given another password, which the settings then show once."""
    server = server_in(request, "settings", pk, Action.SERVER_CONTENT)
    if not isinstance(operations.driver_for(server), RootPassword):
        raise Http404
    success = gettext("Making a new root password. It can be shown here in a moment.")
    requested(request, success, server=server, kind="root_password")
    return redirect("servers:settings", pk=pk)
