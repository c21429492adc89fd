"""The pages of a container: its output, its image, its environment and its ports."""

import re
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from accounts.permissions import Action
from core import clock, tenancy
from servers import builds
from servers.convergence.context import ports_of
from servers.models import Server
from servers.self_service import operations, rebuilding
from servers.self_service.pages import render_section, requested, server_in

ACTS = ("container.change", "rebuild")
LOGS_FRESH_FOR = operations.FRESH_FOR / 2
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
MAX_VARIABLES, MAX_LENGTH = 100, 32_768


@dataclass(frozen=True)
class Port:
    """A port of the container: where it is reached, and where its program listens."""

    address: str
    inner: int


class ContainerForm(forms.Form):
    """The image, and the customer's own variables, which take precedence over those that it was sold with."""

    image = forms.ChoiceField(label=_("Image"))
    environment = forms.CharField(
        label=_("Environment variables"),
        required=False,
        max_length=MAX_LENGTH,
        help_text=_("One on each line, such as MODE=production."),
        widget=forms.Textarea(attrs={"rows": 8, "autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, images: dict[str, str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["image"].choices = list(images.items())  # type: ignore[attr-defined]

    def clean_environment(self) -> dict[str, str]:
        """The variables by their names. Raises ValidationError that names the line."""
        variables: dict[str, str] = {}
        for number, line in enumerate(self.cleaned_data["environment"].splitlines(), start=1):
            name, is_set, value = line.strip().partition("=")
            if not line.strip():
                continue
            if not is_set or not VARIABLE.fullmatch(name):
                text = _("Line %(number)s: enter a name of A to Z, digits and underscores, then = and its value.")
                raise forms.ValidationError(str(text) % {"number": number})
            if name in variables:
                raise forms.ValidationError(_("%(name)s is there twice.") % {"name": name})
            variables[name] = value
        if len(variables) > MAX_VARIABLES:
            raise forms.ValidationError(_("At most %(most)s variables are possible.") % {"most": MAX_VARIABLES})
        return variables


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Image, environment and ports; a POST has the container made anew with them, over the folders that it keeps."""
    server = server_in(request, "container", pk, Action.SERVER_CONTENT)
    with tenancy.as_worker(server):
        row = Server.objects.select_related("blueprint__provider", "reservation").get(pk=server.pk)
        ports = _ports(row)
    build = row.build or builds.sold_build(row.blueprint)
    options = rebuilding.options_of(server, operations.driver_for(server), cast("User", request.user))
    own: dict[str, str] = build.get("own_environment", {})
    initial = {"image": build["image"], "environment": "\n".join(f"{name}={value}" for name, value in own.items())}
    form = ContainerForm(dict(options.images), request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        _save(request, server, form, build["image"], own)
        return redirect("servers:container", pk=pk)
    shown = operations.acts_of(server, ACTS, at=clock.now())
    context = {
        "form": form,
        "shown": shown,
        "is_live": not form.is_bound and shown.is_busy,
        "ports": ports,
        "sold": _sold_variables(build["environment"], row.secret_key),
    }
    status = 422 if form.errors else 200
    return render_section(request, server, "servers/container.html", context, section="container", status=status)


def _save(request: HttpRequest, server: Server, form: ContainerForm, image: str, own: dict[str, str]) -> None:
    entered = form.cleaned_data
    if (entered["image"], entered["environment"]) == (image, own):
        messages.info(request, gettext("Nothing was changed."))
        return
    requested(
        request,
        gettext("Saving. The container starts anew with it."),
        server=server,
        kind="container.change",
        arguments={"image": entered["image"]},
        content={"own_environment": entered["environment"]},  # a value may be a password
    )


def _ports(server: Server) -> list[Port]:
    """The first ports lead to those of its program, further ones to their own numbers."""
    inner = (server.build or builds.sold_build(server.blueprint))["ports"]
    return [
        Port(f"{port.alias or port.ip}:{port.port}", inner[number] if number < len(inner) else port.port)
        for number, port in enumerate(ports_of(server))
    ]


def _sold_variables(environment: dict[str, Any], key: str) -> list[tuple[str, str]]:
    """What the container was sold with. Of a value only the server's own passwords are shown: others are the shop's."""
    values = builds.overrides_of(environment, key=key)
    return [(name, values[name] if environment[name] == builds.SECRET else "") for name in sorted(values)]


@login_required
@require_safe
def logs(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The last lines of its output, read again while the page is open."""
    server = server_in(request, "logs", pk, Action.SERVER_CONSOLE)
    shown = operations.show(server, "logs", at=clock.now(), fresh_for=LOGS_FRESH_FOR)
    context = {"shown": shown, "is_live": True}
    return render_section(request, server, "servers/logs.html", context, section="logs")
