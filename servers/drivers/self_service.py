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


@dataclass(frozen=True)
class RemoteDatabase:
    """A database of a server; never with its password. `remote` is from where it may be connected to, `%` anywhere."""

    ref: str
    name: str
    username: str
    host: str
    port: int
    remote: str


@runtime_checkable
class Databases(Protocol):
    """A provider that keeps databases for what runs on a server."""

    def databases(self, identifier: str) -> list[RemoteDatabase]:
        """Every database of the server, by name."""

    def create_database(self, identifier: str, name: str, remote: str) -> str:
        """Make one; its password. Its name may get a prefix, as in `s7_name`. Not safe to repeat."""

    def database_password(self, identifier: str, ref: str) -> str:
        """The password of a database."""

    def rotate_password(self, identifier: str, ref: str) -> str:
        """Give a database another password, which is returned; the old one no longer works."""

    def delete_database(self, identifier: str, ref: str) -> None:
        """Delete one with all that is in it; already deleted is fine."""
