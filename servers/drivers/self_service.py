"""What customers do with their servers at some providers, as small protocols beside `servers.drivers.abilities`.

Each call names the server by its identifier there, and raises core.outside's errors; `Refused` has a sentence for the
customer. A read may be some seconds old.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core import outside


class Refused(outside.Rejected):
    """The provider does not do it, for a reason that the customer can do something about; the text says which."""


@dataclass(frozen=True)
class RemoteBackup:
    """A backup at the provider; the times are ISO 8601. `completed_at` is empty while it is being made."""

    ref: str
    name: str
    size_bytes: int
    created_at: str
    completed_at: str
    is_successful: bool
    is_locked: bool


@runtime_checkable
class Backups(Protocol):
    """A provider that keeps backups of a server beside it."""

    def backups(self, identifier: str) -> list[RemoteBackup]:
        """Every backup of the server, the newest first."""

    def create_backup(self, identifier: str, name: str) -> None:
        """Begin one; `backups` shows when it is complete. Not safe to repeat."""

    def restore_backup(self, identifier: str, ref: str) -> None:
        """Replace the server's files with those of the backup. The server stops meanwhile."""

    def lock_backup(self, identifier: str, ref: str, is_locked: bool) -> None:  # noqa: FBT001
        """Keep a backup from being deleted, or allow it again."""

    def delete_backup(self, identifier: str, ref: str) -> None:
        """Delete one; already deleted is fine."""

    def backup_link(self, identifier: str, ref: str) -> str:
        """An address from which it can be downloaded for some minutes, perhaps once."""
