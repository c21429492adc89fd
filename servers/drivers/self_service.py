"""What customers do with their servers at some providers, as small protocols beside `servers.drivers.abilities`.

Each call names the server by its identifier there, and raises core.outside's errors; `Refused` has a sentence for the
customer. A read may be some seconds old.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core import outside
from servers.drivers.abilities import Reinstall


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


@dataclass(frozen=True)
class RemoteVariable:
    """A setting of a game that its customer may see. `rules` are those of `servers.eggs.rules`."""

    name: str
    description: str
    env_variable: str
    value: str
    is_editable: bool
    rules: str


@dataclass(frozen=True)
class RemoteStartup:
    """How a game is started: its settings, its image, and the images that it may have, by their labels."""

    variables: list[RemoteVariable]
    image: str
    images: Mapping[str, str]


@runtime_checkable
class Startup(Protocol):
    """A provider whose games have settings, which take effect when the server starts."""

    def startup(self, identifier: str) -> RemoteStartup:
        """What the customer may see."""

    def set_variable(self, identifier: str, env_variable: str, value: str) -> None:
        """Give a setting another value. Raises Refused with what is wrong with it."""

    def set_image(self, identifier: str, image: str) -> None:
        """Start the game from another of its images."""


CRON_FIELDS = ("minute", "hour", "day_of_month", "month", "day_of_week")


@dataclass(frozen=True)
class RemoteTask:
    """What a schedule does: `power` with one of the power actions, `command` with a line, or `backup`."""

    action: str
    payload: str = ""


@dataclass(frozen=True)
class RemoteSchedule:
    """Tasks at times: `cron` has the five fields of CRON_FIELDS, in UTC. The instants are ISO 8601 or empty."""

    ref: str
    name: str
    cron: str
    is_active: bool
    next_at: str
    last_at: str
    tasks: list[RemoteTask]


@runtime_checkable
class Schedules(Protocol):
    """A provider that does things to a server at set times."""

    def schedules(self, identifier: str) -> list[RemoteSchedule]:
        """Every schedule of the server."""

    def create_schedule(self, identifier: str, name: str, cron: str, task: RemoteTask) -> None:
        """Make an active one, unless the server has one with this name, these times and this task. Safe to repeat."""

    def switch_schedule(self, identifier: str, ref: str, is_active: bool) -> None:  # noqa: FBT001
        """Have it run at its times, or not."""

    def run_schedule(self, identifier: str, ref: str) -> None:
        """Begin its tasks now. Not safe to repeat."""

    def delete_schedule(self, identifier: str, ref: str) -> None:
        """Delete one; already deleted is fine."""


@dataclass(frozen=True)
class RemoteSftp:
    """How a server's files are reached by SFTP."""

    host: str
    port: int
    username: str


@runtime_checkable
class Sftp(Protocol):
    """A provider whose servers' files are reached by SFTP."""

    def sftp(self, identifier: str, username: str) -> RemoteSftp:
        """Where, for the owner whose account at the provider has this name."""


@runtime_checkable
class InstallsAgain(Protocol):
    """A provider that installs a running server again when its customer asks. See `reinstall_keeps_data`."""

    def install_again(self, identifier: str) -> None:
        """Begin it. Not safe to repeat."""


@runtime_checkable
class Rebuild(Reinstall, Protocol):
    """A provider that builds a running machine or container anew when its customer asks."""

    def installs(self, identifier: str) -> list[str]:
        """A mark of each time that it was built, or began to be: another one is there once `reinstall` was heard."""


@runtime_checkable
class RootPassword(Protocol):
    """A provider that gives a running machine another root password."""

    def set_root_password(self, identifier: str, proposed: str) -> str:
        """Give root this password or one of the provider's own; which it is. Raises Refused with what to do first."""


@dataclass(frozen=True)
class RemoteFile:
    """What is in a folder: `ref` is its name, `modified_at` ISO 8601."""

    ref: str
    size_bytes: int
    is_file: bool
    modified_at: str


@dataclass(frozen=True)
class UploadLink:
    """Where a browser may send files for some minutes, perhaps once, and how large each may be."""

    url: str
    max_bytes: int


@runtime_checkable
class Files(Protocol):
    """A provider that gives access to a server's files. Paths are below the server's own folder, which is ""."""

    def folder(self, identifier: str, path: str) -> list[RemoteFile]:
        """All that is in a folder."""

    def read_file(self, identifier: str, path: str) -> bytes:
        """A file's content. Raises Refused for one that is too large."""

    def write_file(self, identifier: str, path: str, content: bytes) -> None:
        """Write a file, with the folders that it needs."""

    def make_folder(self, identifier: str, path: str) -> None:
        """Make a folder; one that is there is fine."""

    def move_files(self, identifier: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Give paths another one. Raises Refused where that is taken. Not safe to repeat."""

    def copy_file(self, identifier: str, path: str) -> None:
        """Copy a file beside itself, as "name copy". Not safe to repeat."""

    def delete_files(self, identifier: str, folder: str, names: Sequence[str]) -> None:
        """Delete files, and folders with all that is in them; already deleted is fine."""

    def compress_files(self, identifier: str, folder: str, names: Sequence[str]) -> None:
        """Pack them into an archive beside them, whose name begins with "archive-". Not safe to repeat."""

    def extract_file(self, identifier: str, folder: str, name: str) -> None:
        """Unpack an archive into its folder, over what is there. Not safe to repeat."""

    def file_link(self, identifier: str, path: str) -> str:
        """An address from which a file can be downloaded for some minutes, perhaps once."""

    def upload_link(self, identifier: str) -> UploadLink:
        """Where a browser sends files, with the field `files` and the folder as the parameter `directory`."""


@dataclass(frozen=True)
class ConsoleAccess:
    """The address of a server's console for browsers, and the token that opens it for some minutes.

    `origin` is that of the pages from which its node lets it be opened.
    """

    socket: str
    token: str
    origin: str


@runtime_checkable
class Console(Protocol):
    """A provider whose servers have a console that a browser can follow, by a socket with Wings' frames."""

    def send_command(self, identifier: str, command: str) -> None:
        """Type a command. Raises Refused where the server does not run. Not safe to repeat."""

    def console_access(self, identifier: str) -> ConsoleAccess:
        """The key to this server's console, and to no other's."""


@dataclass(frozen=True)
class RemotePort:
    """A port of a server; `host` is the address that is shown for it."""

    ref: str
    host: str
    port: int
    note: str
    is_main: bool


@runtime_checkable
class Network(Protocol):
    """A provider whose servers have ports with notes."""

    def ports(self, identifier: str) -> list[RemotePort]:
        """Every port of the server, the main one first."""

    def note_port(self, identifier: str, ref: str, note: str) -> None:
        """Keep a note beside a port; empty for none."""


@dataclass(frozen=True)
class ReverseName:
    """An address of a machine, and the name that reverse DNS gives it; empty where that is the provider's own."""

    address: str
    name: str


@runtime_checkable
class ReverseDns(Protocol):
    """A provider that lets customers name the addresses of their machines."""

    def reverse_names(self, identifier: str) -> list[ReverseName]:
        """Every address that can be named, the main one first."""

    def set_reverse_name(self, identifier: str, address: str, name: str) -> None:
        """Give it this name, or for an empty one the provider's. Raises Refused where the name does not lead there."""


@runtime_checkable
class Logs(Protocol):
    """A provider that keeps what the program of a container writes."""

    def last_lines(self, identifier: str) -> str:
        """The last lines of its output, as plain text."""


@runtime_checkable
class RescueConsole(Protocol):
    """A provider with a page that shows a machine's screen, for when it can no longer be reached."""

    def rescue_link(self, identifier: str, account: str) -> str:
        """An address that signs in the owner, whose account has this name: for a minute, and once."""
