"""What customers do inside their servers, by a panel's client API."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from core import outside
from servers.drivers.base import WrongState
from servers.drivers.pterodactyl.client import PanelClient, items_of
from servers.drivers.self_service import Refused, RemoteBackup

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

BACKUP_SENTENCES = {
    "TooManyBackupsException": _("All the backups of your plan are used. Delete one first, or change your plan."),
    "BackupLockedException": _("This backup is locked. Unlock it first."),
    "BadRequestHttpException": _("The backup cannot be used at the moment. Try again when it is complete."),
}
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST = 50  # backups on a page, which is as many as a page has


def client_path(identifier: str, *parts: str) -> str:
    """A path of the client API. Other text could change which call is made."""
    for part in (identifier, *parts):
        if not _IDENTIFIER.fullmatch(part):
            raise ValueError("a part of a path is letters, digits and dashes")
    return "/".join(("/servers", identifier, *parts))


class PanelBackups:
    """The backups of a panel's servers."""

    _panel: PanelClient

    def backups(self, identifier: str) -> list[RemoteBackup]:
        """Every backup of the server, the newest first."""
        body = self._panel.client_read(client_path(identifier, "backups"), {"per_page": MOST})
        found = [
            RemoteBackup(
                ref=str(each["uuid"]),
                name=str(each["name"]),
                size_bytes=int(each["bytes"]),
                created_at=str(each["created_at"]),
                completed_at=str(each["completed_at"] or ""),
                is_successful=bool(each["is_successful"]),
                is_locked=bool(each["is_locked"]),
            )
            for each in items_of(body)
        ]
        return sorted(found, key=lambda backup: backup.created_at, reverse=True)

    def create_backup(self, identifier: str, name: str) -> None:
        """Begin one. Raises Refused where there are as many as the plan has, or one was made minutes ago."""
        self._act("POST", client_path(identifier, "backups"), {"name": name})

    def restore_backup(self, identifier: str, ref: str) -> None:
        """Replace all files with those of the backup."""
        self._act("POST", client_path(identifier, "backups", ref, "restore"), {"truncate": True})

    def lock_backup(self, identifier: str, ref: str, is_locked: bool) -> None:  # noqa: FBT001
        """The panel's call turns a lock around, so what it is now is read first."""
        present = self._panel.client_read(client_path(identifier, "backups", ref))["attributes"]
        if bool(present["is_locked"]) != is_locked:
            self._act("POST", client_path(identifier, "backups", ref, "lock"), {})

    def delete_backup(self, identifier: str, ref: str) -> None:
        """Delete one. Raises Refused for a locked one."""
        try:
            self._panel.client_delete(client_path(identifier, "backups", ref))
        except outside.OutsideError as error:
            raise_refused(error)
            raise

    def backup_link(self, identifier: str, ref: str) -> str:
        """A link to the node that works once, for 15 minutes."""
        return str(self._panel.client_read(client_path(identifier, "backups", ref, "download"))["attributes"]["url"])

    def _act(self, method: str, path: str, json: dict[str, Any] | None = None) -> None:
        try:
            self._panel.client_write(path, json, method=method)
        except outside.OutsideError as error:
            raise_refused(error)
            raise


def raise_refused(error: outside.OutsideError, sentences: Mapping[str, "StrOrPromise"] | None = None) -> None:
    """Raise Refused, with a sentence for the customer, where the panel says something that they can change.

    `sentences` are those of a section by the panel's code; without them, those of backups.
    """
    if isinstance(error, WrongState):
        return
    if sentences is None and error.status == 429 and error.code == "TooManyRequestsHttpException":
        minutes = max(1, -(-int(error.retry_after or 60) // 60))
        text = ngettext(
            "Backups are made only every few minutes. Try again in {count} minute.",
            "Backups are made only every few minutes. Try again in {count} minutes.",
            minutes,
        )
        raise Refused(text.format(count=minutes), status=error.status, code=error.code) from None
    sentence = (BACKUP_SENTENCES if sentences is None else sentences).get(error.code)
    if sentence:
        raise Refused(str(sentence), status=error.status, code=error.code) from None
