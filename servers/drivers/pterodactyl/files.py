"""The files of a panel's servers, by its client API."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _

from core import outside
from servers.drivers.pterodactyl.client import PanelClient, items_of
from servers.drivers.pterodactyl.self_service import client_path
from servers.drivers.self_service import Refused, RemoteFile, UploadLink

MIB = 1024 * 1024
NOT_ABOUT_THE_REQUEST = {401, 403, 404, 408, 429}  # of a node's errors: it was busy, or lacks the server or the file


class PanelFiles:
    """Files below a server's folder; the panel writes their paths with a slash before them."""

    _panel: PanelClient

    def folder(self, identifier: str, path: str) -> list[RemoteFile]:
        """All that is in a folder, folders first."""
        with _refusals(_("This folder cannot be shown.")):
            body = self._panel.client_read(client_path(identifier, "files", "list"), {"directory": f"/{path}"})
        found = [
            RemoteFile(
                ref=str(each["name"]),
                size_bytes=int(each["size"]),
                is_file=bool(each["is_file"]),
                modified_at=str(each["modified_at"]),
            )
            for each in items_of(body)
        ]
        return sorted(found, key=lambda file: (file.is_file, file.ref.lower()))

    def read_file(self, identifier: str, path: str) -> bytes:
        """A file's content. Raises Refused for one that is larger than the panel shows."""
        with _refusals(_("This file cannot be shown.")):
            return self._panel.client_read_bytes(client_path(identifier, "files", "contents"), {"file": f"/{path}"})

    def write_file(self, identifier: str, path: str, content: bytes) -> None:
        """Write a file as it is: the panel takes any bytes."""
        with _refusals(_("The file cannot be written. Its name may be that of a folder, or the disk may be full.")):
            self._panel.client_write(
                client_path(identifier, "files", "write"), None, params={"file": f"/{path}"}, content=content
            )

    def make_folder(self, identifier: str, path: str) -> None:
        """Make a folder."""
        parent, _slash, name = path.rpartition("/")
        self._change(
            identifier,
            "create-folder",
            {"root": f"/{parent}", "name": name},
            _("The folder cannot be made. A file may have its name."),
        )

    def move_files(self, identifier: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Give them another path; the node refuses one that is taken."""
        files = [{"from": before, "to": after} for before, after in pairs]
        refusal = _("It cannot be moved there. Something of this name may be there already.")
        self._change(identifier, "rename", {"root": "/", "files": files}, refusal, method="PUT")

    def copy_file(self, identifier: str, path: str) -> None:
        """Copy a file beside itself."""
        self._change(identifier, "copy", {"location": f"/{path}"}, _("Only files can be copied."))

    def delete_files(self, identifier: str, folder: str, names: Sequence[str]) -> None:
        """Delete them for good."""
        body = {"root": f"/{folder}", "files": list(names)}
        self._change(identifier, "delete", body, _("It cannot be deleted."))

    def compress_files(self, identifier: str, folder: str, names: Sequence[str]) -> None:
        """Pack them into a .tar.gz; the panel answers when that is done."""
        body = {"root": f"/{folder}", "files": list(names)}
        self._change(identifier, "compress", body, _("They cannot be packed. The disk may be full."))

    def extract_file(self, identifier: str, folder: str, name: str) -> None:
        """Unpack an archive; the panel answers when that is done."""
        body = {"root": f"/{folder}", "file": name}
        refusal = _("It cannot be unpacked. It may be no archive, or the disk may be full.")
        self._change(identifier, "decompress", body, refusal)

    def file_link(self, identifier: str, path: str) -> str:
        """A link to the node that works once, for 15 minutes."""
        body = self._panel.client_read(client_path(identifier, "files", "download"), {"file": f"/{path}"})
        return str(body["attributes"]["url"])

    def upload_link(self, identifier: str) -> UploadLink:
        """A link to the node that works once, for 15 minutes, and the node's own limit."""
        number = int(self._panel.client_read(client_path(identifier))["attributes"]["internal_id"])
        node = int(self._panel.read(f"/servers/{number}")["attributes"]["node"])
        limit = int(self._panel.read(f"/nodes/{node}")["attributes"]["upload_size"])
        url = self._panel.client_read(client_path(identifier, "files", "upload"))["attributes"]["url"]
        return UploadLink(url=str(url), max_bytes=limit * MIB)

    def _change(
        self, identifier: str, what: str, body: Mapping[str, Any], refusal: str, *, method: str = "POST"
    ) -> None:
        with _refusals(refusal):
            self._panel.client_write(client_path(identifier, "files", what), body, method=method)


@contextmanager
def _refusals(text: str) -> Iterator[None]:
    """Where the node refuses the request itself, which it would do again, raise Refused with this sentence."""
    try:
        yield
    except outside.OutsideError as error:
        details: dict[str, Any] = {"status": error.status, "code": error.code}
        if error.code == "FileSizeTooLargeException":
            raise Refused(_("The file is too large to be shown here. Download it instead."), **details) from None
        is_refusal = error.status is not None and 400 <= error.status < 500
        if error.code == "DaemonConnectionException" and is_refusal and error.status not in NOT_ABOUT_THE_REQUEST:
            raise Refused(text, **details) from None
        raise
