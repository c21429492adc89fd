"""The pages of a server's files: folders, and an editor for texts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.permissions import Action
from core import clock
from servers.models import OperationOutcome, Server
from servers.self_service import operations, texts
from servers.self_service.backups import ConfirmForm
from servers.self_service.pages import render_section, requested, server_in
from servers.self_service.paths import clean_name, clean_path, joined, steps_to

PER_PAGE = 100
ACTS = (
    *("file.folder", "file.move", "file.copy", "file.delete", "file.compress", "file.extract", "file.download"),
    "file.write",
)
CHOSEN = {  # what is done at once to what is chosen in a folder
    "download": _("Preparing the download. Its link appears here in a moment."),
    "copy": _("Copying the file."),
    "compress": _("Compressing. The archive appears in this folder."),
    "extract": _("Extracting the archive into this folder."),
}
ASKED_FIRST = {"move": "servers:file_move", "delete": "servers:file_delete"}
NOTHING = operations.SectionContent(None, None, "", is_reading=False, is_behind=False, operations=[])
OF_ONE_FILE = {"download", "copy", "extract"}


def path_of(request: HttpRequest) -> str:
    """The path of the address. Raises a 404 for one that leads anywhere else."""
    try:
        return clean_path(request.GET.get("path", ""))
    except ValidationError:
        raise Http404 from None


def address(name: str, pk: UUID, path: str, names: Sequence[str] = ()) -> str:
    """A page about this path, and what was chosen there."""
    query = urlencode([("path", path), *(("name", each) for each in names)])
    return f"{reverse(name, args=[pk])}?{query}"


class NameForm(forms.Form):
    """A new folder or file."""

    name = forms.CharField(
        label=_("Name"), max_length=255, strip=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def clean_name(self) -> str:
        """See `paths.clean_name`."""
        return clean_name(self.cleaned_data["name"])


class ChosenForm(forms.Form):
    """What to do with files of a folder."""

    act = forms.ChoiceField(choices=[(act, act) for act in (*CHOSEN, *ASKED_FIRST)])
    names = forms.MultipleChoiceField(
        error_messages={
            "required": _("Choose at least one file or folder."),
            "invalid_choice": _("It is no longer there. Choose again."),
        }
    )

    def __init__(self, listed: Sequence[Mapping[str, Any]], data: Mapping[str, Any]) -> None:
        super().__init__(data)
        self._files = {each["ref"] for each in listed if each["is_file"]}
        cast(forms.MultipleChoiceField, self.fields["names"]).choices = [(each["ref"], each["ref"]) for each in listed]

    def clean_names(self) -> list[str]:
        """Names that can be sent; one file where the act takes one."""
        names = [clean_name(name) for name in self.cleaned_data["names"]]
        if self.cleaned_data.get("act") in OF_ONE_FILE and (len(names) != 1 or names[0] not in self._files):
            raise ValidationError(_("Choose one file for that."))
        return names


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A folder; a POST does something with what is chosen in it, or makes something new."""
    server, folder = server_in(request, "files", pk, Action.SERVER_CONTENT), path_of(request)
    # A browser that has just sent a file to the node knows of a change that no operation made.
    fresh_for = timedelta(0) if "uploaded" in request.GET else operations.FRESH_FOR
    shown = operations.show(server, "files", at=clock.now(), target=folder, acts=ACTS, fresh_for=fresh_for)
    act = request.POST.get("act", "")
    new = NameForm(request.POST if act in {"folder", "file"} else None)
    chosen = ChosenForm(shown.rows or [], request.POST) if request.method == "POST" and not new.is_bound else None
    if new.is_valid():
        name = new.cleaned_data["name"]
        if act == "file":
            return redirect(address("servers:file", pk, joined(folder, name)) + "&new=1")
        asked = {"kind": "file.folder", "target": folder, "arguments": {"name": name}}
        requested(request, str(_("Making the folder.")), server=server, **asked)
        return redirect(address("servers:files", pk, folder))
    if chosen and chosen.is_valid():
        return _act(request, server, folder, chosen.cleaned_data["act"], chosen.cleaned_data["names"])
    files = Paginator([_readable(each) for each in shown.rows or []], PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "shown": shown,
        "folder": folder,
        "steps": steps_to(folder),
        "page_obj": files,
        "here": f"{address('servers:files', pk, folder)}&page={files.number}",
        "links": [each for each in shown.operations if each.kind == "file.download" and each.result],
        "is_live": shown.is_busy or shown.is_behind,
        "form": new,
        "problems": [*chosen.errors.get("names", []), *chosen.errors.get("act", [])] if chosen else [],
    }
    status = 422 if new.errors or chosen else 200
    return render_section(request, server, "servers/files.html", context, section="files", status=status)


def _act(request: HttpRequest, server: Server, folder: str, act: str, names: list[str]) -> HttpResponse:
    """Ask for it, or go to the page that asks the user first."""
    if act in ASKED_FIRST:
        return redirect(address(ASKED_FIRST[act], server.pk, folder, names))
    is_download = act == "download"
    requested(
        request,
        str(CHOSEN[act]),
        server=server,
        kind=f"file.{act}",
        target=joined(folder, names[0]) if is_download else folder,
        arguments={} if is_download else {"names": names},
    )
    return redirect(address("servers:files", server.pk, folder))


def _readable(file: Mapping[str, Any]) -> dict[str, Any]:
    """A file as the page shows it."""
    modified: datetime | None = parse_datetime(file["modified_at"])
    return {**file, "modified": modified}


class TextForm(forms.Form):
    """A file's text, and of which version of the file it is."""

    text = forms.CharField(
        label=_("Content"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"class": "mono", "rows": 24, "wrap": "off", "spellcheck": "false"}),
    )
    version = forms.CharField(required=False, widget=forms.HiddenInput)
    is_crlf = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def clean_text(self) -> str:
        """With the line ends of the editor; browsers send others."""
        text = cast(str, self.cleaned_data["text"]).replace("\r\n", "\n")
        if len(text.encode()) > texts.MAX_EDITED_BYTES:
            raise ValidationError(_("This is too much to save here. Change the file on your device, and upload it."))
        return text


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A file; a POST saves its text, unless the file was changed since it was shown."""
    server, path = server_in(request, "files", pk, Action.SERVER_CONTENT), path_of(request)
    if not path:
        return redirect("servers:files", pk=pk)
    folder, is_new = path.rpartition("/")[0], bool(request.GET.get("new"))
    shown = NOTHING if is_new else _shown_file(server, path)
    if "discard" in request.GET:
        shown = replace(shown, operations=[])
    form = TextForm(request.POST) if request.method == "POST" else None
    if form and form.is_valid():
        present = (shown.rows or {}).get("version", "")
        if present in {"", form.cleaned_data["version"]}:
            asked = {"kind": "file.write", "target": path, "content": dict(form.cleaned_data)}
            if requested(request, str(_("Saving the file.")), server=server, **asked):
                return redirect(address("servers:file", pk, path))
        else:
            form.add_error("text", _("The file was changed since you opened it. Save again to overwrite that."))
            form.data = {**request.POST.dict(), "version": present}
    is_ready = is_new or not (shown.is_busy or shown.is_behind)
    context = {
        "shown": shown,
        "path": path,
        "folder": folder,
        "steps": steps_to(path),
        "file": shown.rows,
        "form": form or (_text_form(shown, is_new) if is_ready else None),
        "is_live": form is None and not is_ready,
        "can_save": is_new or not shown.rows or shown.rows["is_editable"],
    }
    status = 422 if form else 200
    return render_section(request, server, "servers/file.html", context, section="files", status=status)


def _shown_file(server: Server, path: str) -> operations.SectionContent:
    """The file, without what was read before it went away, and how saving it went."""
    shown = operations.show(server, "file", at=clock.now(), target=path, acts=("file.write",))
    rows = None if shown.problem else shown.rows
    return replace(shown, rows=rows, operations=[each for each in shown.operations if each.target == path])


def _text_form(shown: operations.SectionContent, is_new: bool) -> TextForm | None:  # noqa: FBT001
    """The text to edit: what could not be saved, if that was the last, or what the file has. None for no text."""
    file = shown.rows or {"text": "" if is_new else None, "version": "", "is_crlf": False, "is_editable": True}
    last = next(iter(shown.operations), None)
    unsaved = last.content if last and last.outcome != OperationOutcome.DONE else None
    if unsaved and "text" in unsaved:
        file = {**file, "text": unsaved["text"]}
    if file["text"] is None:
        return None
    form = TextForm(initial=file)
    if not file["is_editable"]:
        form.fields["text"].widget.attrs["readonly"] = True
    return form


class MoveForm(forms.Form):
    """Where to move what was chosen; one of them may be renamed."""

    folder = forms.CharField(
        label=_("Folder"),
        required=False,
        max_length=1000,
        strip=False,
        help_text=_("Such as plugins/config. Empty: the server's own folder."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "mono"}),
    )
    name = forms.CharField(
        label=_("Name"), max_length=255, strip=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, names: Sequence[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(names) > 1:
            del self.fields["name"]

    def clean_folder(self) -> str:
        """See `paths.clean_path`."""
        return clean_path(self.cleaned_data["folder"])

    def clean_name(self) -> str:
        """See `paths.clean_name`."""
        return clean_name(self.cleaned_data["name"])


def _chosen(request: HttpRequest) -> list[str]:
    """The names in the address. Raises a 404 for what are none."""
    try:
        names = [clean_name(name) for name in request.GET.getlist("name")][:PER_PAGE]
    except ValidationError:
        raise Http404 from None
    return names


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def move(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Rename one, or move several."""
    server, folder = server_in(request, "files", pk, Action.SERVER_CONTENT), path_of(request)
    names = _chosen(request)
    if not names:
        return redirect(address("servers:files", pk, folder))
    initial = {"folder": folder, "name": names[0]}
    form = MoveForm(names, request.POST if request.method == "POST" else None, initial=initial)
    if form.is_valid():
        target = form.cleaned_data["folder"]
        renamed = [form.cleaned_data["name"]] if len(names) == 1 else names
        pairs = [[joined(folder, name), joined(target, new)] for name, new in zip(names, renamed, strict=True)]
        if any(f"{after}/".startswith(f"{before}/") for before, after in pairs):
            form.add_error("folder", _("Choose another folder or name: nothing is moved to or into itself."))
        else:
            asked = {"kind": "file.move", "target": target, "arguments": {"pairs": pairs}}
            requested(request, str(_("Moving.")), server=server, **asked)
            return redirect(address("servers:files", pk, target))
    context = {"form": form, "names": names, "folder": folder, "steps": steps_to(folder), "act": "move"}
    return _render_asking(request, server, context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Delete what was chosen; for a folder the server's name is typed."""
    server, folder = server_in(request, "files", pk, Action.SERVER_CONTENT), path_of(request)
    names = _chosen(request)
    if not names:
        return redirect(address("servers:files", pk, folder))
    listed = operations.show(server, "files", at=clock.now(), target=folder).rows or []
    files = {each["ref"] for each in listed if each["is_file"]}
    data = request.POST if request.method == "POST" else None
    form = forms.Form(data) if files.issuperset(names) else ConfirmForm(server, data)
    if form.is_valid():
        asked = {"kind": "file.delete", "target": folder, "arguments": {"names": names}}
        requested(request, str(_("Deleting.")), server=server, **asked)
        return redirect(address("servers:files", pk, folder))
    context = {"form": form, "names": names, "folder": folder, "steps": steps_to(folder), "act": "delete"}
    return _render_asking(request, server, context)


def _render_asking(request: HttpRequest, server: Server, context: Mapping[str, Any]) -> HttpResponse:
    status = 422 if context["form"].errors else 200
    return render_section(
        request, server, "servers/file_confirm.html", context, section="files", part="page", status=status
    )
