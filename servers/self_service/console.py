"""The page of a server's console: a form for commands, and by script the node's own socket."""

from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import Action
from core import clock
from servers.live import usage
from servers.live.status import INSTALLED, live_status
from servers.models import PowerTask, Server
from servers.self_service import operations, results
from servers.self_service.pages import render_section, server_in


class CommandForm(forms.Form):
    """A line that is typed on the console."""

    command = forms.CharField(
        label=_("Command"),
        max_length=1000,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
    )

    def clean_command(self) -> str:
        """One line: another one would be another command."""
        command: str = self.cleaned_data["command"]
        if not command.isprintable():
            raise forms.ValidationError(_("A command is one line of text."))
        return command


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The console; a POST sends a command."""
    server = server_in(request, "console", pk, Action.SERVER_CONSOLE)
    form = CommandForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        asked = {"kind": "console.command", "content": form.cleaned_data["command"]}
        try:
            operations.request(server=server, actor=request.user, at=clock.now(), **asked)  # type: ignore[arg-type]
        except operations.OperationRefused as error:
            form.add_error("command", str(error))
        else:
            if not getattr(request, "htmx", None):
                return redirect("servers:console", pk=pk)
            form = CommandForm()
    return _render(request, server, form)


def _render(request: HttpRequest, server: Server, form: CommandForm) -> HttpResponse:
    """The page; for a script that has sent a command, the form alone."""
    at = clock.now()
    last = operations.latest(server, ("console.command",), at=at)[:1]
    key = results.newest(request, server, "console.open")
    context = {
        "form": form,
        "key": key,
        "operations": last,
        "is_live": any(each.is_open for each in last),
        "can_power": server.status in INSTALLED,
    }
    if server.status in INSTALLED:
        usage.watch(server, at=at)
        task = PowerTask.objects.filter(server=server).first()
        context["live_status"] = live_status(server, usage.usage_of(server, at=at), task, at=at)
    part = "command" if request.method == "POST" else "live"
    status = 422 if form.errors else 200
    response = render_section(
        request, server, "servers/console.html", context, section="console", part=part, status=status
    )
    if part == "command" and not form.errors:
        response["HX-Trigger"] = "sent"
    return results.allow_connection(request, response, key.get("origin", ""))


@login_required
@require_POST
def open_console(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for the key to the console, by script."""
    return results.ask(request, server_in(request, "console", pk, Action.SERVER_CONSOLE), "console.open")
