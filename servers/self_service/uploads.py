"""Uploads: by script straight to the node, as large as it takes, or through us, which is bounded."""

import base64
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import Action
from servers.models import Server
from servers.self_service import results
from servers.self_service.files import address, path_of
from servers.self_service.pages import render_section, requested, server_in
from servers.self_service.paths import clean_name, joined, steps_to

MAX_BYTES = 1024 * 1024  # of a file that goes through us; the web server takes no more of a request than twice that
MAX_REQUEST_BYTES = MAX_BYTES + 64 * 1024
TOO_LARGE = _("Files of up to 1 MB can be sent this way. Larger ones need JavaScript, or SFTP.")


class UploadForm(forms.Form):
    """A file."""

    file = forms.FileField(
        label=_("File"),
        max_length=255,
        allow_empty_file=True,
        help_text=_("A file of the same name is replaced."),
    )

    def clean_file(self) -> Any:
        """One that can be kept until a worker has sent it, under a name that stays in the folder."""
        file = self.cleaned_data["file"]
        if file.size > MAX_BYTES:
            raise forms.ValidationError(TOO_LARGE)
        clean_name(file.name)
        return file


@csrf_exempt  # until the size is known: looking for the token reads the whole request
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Upload into a folder. A request that is too large is refused before it is read."""
    server, folder = server_in(request, "files", pk, Action.SERVER_CONTENT), path_of(request)
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_REQUEST_BYTES:
        form = UploadForm({}, MultiValueDict())
        form.errors["file"] = form.error_class([str(TOO_LARGE)])
        return _render(request, server, folder, form, status=413)
    answer: HttpResponse = csrf_protect(_take)(request, server, folder)
    return answer


def _take(request: HttpRequest, server: Server, folder: str) -> HttpResponse:
    """Have a worker write the file."""
    is_sent = request.method == "POST"
    form = UploadForm(request.POST, request.FILES) if is_sent else UploadForm()
    if not form.is_valid():
        return _render(request, server, folder, form, status=422 if is_sent else 200)
    file = form.cleaned_data["file"]
    requested(
        request,
        str(_("Uploading the file.")),
        server=server,
        kind="file.write",
        target=joined(folder, file.name),
        content={"base64": base64.b64encode(file.read()).decode()},
    )
    return redirect(address("servers:files", server.pk, folder))


def _render(request: HttpRequest, server: Server, folder: str, form: UploadForm, status: int = 200) -> HttpResponse:
    direct = results.newest(request, server, "file.upload")
    context = {"form": form, "folder": folder, "steps": steps_to(folder), "direct": direct, "max_bytes": MAX_BYTES}
    response = render_section(
        request, server, "servers/file_upload.html", context, section="files", part="page", status=status
    )
    return results.allow_connection(request, response, direct.get("origin", ""))


@login_required
@require_POST
def link(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for a link to the node, by script."""
    return results.ask(request, server_in(request, "files", pk, Action.SERVER_CONTENT), "file.upload")
