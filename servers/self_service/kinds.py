"""The kinds of listings and operations: what a driver must be able to do for each, and which of its calls it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.permissions import Action
from servers import builds
from servers.drivers.self_service import (
    Backups,
    Console,
    Databases,
    Files,
    InstallsAgain,
    Logs,
    Network,
    Rebuild,
    RemoteTask,
    RescueConsole,
    ReverseDns,
    RootPassword,
    Schedules,
    Sftp,
    Startup,
)
from servers.hytale.variables import VARIABLES
from servers.models import Provider, Server
from servers.self_service import kept, rebuilding, texts

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

RELAY_PATH = "/relay"  # before the path of a console's page


@dataclass(frozen=True)
class Call:
    """What a kind is done with: the server's identifier at its provider, what it is about, and what was entered.

    `result` is what it gave, for what keeps that.
    """

    identifier: str
    target: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    content: Any = None
    server_id: UUID | None = None
    result: Any = None


@dataclass(frozen=True)
class ListingKind:
    """Something that is read: `read` gives JSON."""

    ability: type
    read: Callable[[Any, Call], Any]


@dataclass(frozen=True)
class OperationKind:
    """An act. `label` names it to customers. One that is not `is_repeatable` is not sent again after a lost answer.

    `makes` says of what a listing shows whether it is the act's effect, so that after a lost answer it can be looked
    for among what was not there before. `changes` are the kinds of listings to read again afterwards, `changes_in`
    those with a target. `keep` writes what was done, or may have been where nobody can look for it, into our own rows,
    in the transaction that records it, and what it gave, which is nowhere else then. `keeps_content` where what was
    entered is offered again if it was not done. `new_content` makes what is sent where nobody enters it.
    `is_for_failed`: also for a server that failed after it had run. `action` is what whoever asked must be allowed to
    do to the server, also when it is carried out.
    """

    ability: type
    run: Callable[[Any, Call], Any]
    label: "StrOrPromise"
    is_repeatable: bool = True
    listing: str = ""
    makes: Callable[[Mapping[str, Any], Call], bool] | None = None
    changes: Sequence[str] = ()
    keep: Callable[[Server, Call, datetime], None] | None = None
    changes_in: Callable[[Call], Sequence[tuple[str, str]]] | None = None
    keeps_content: bool = False
    new_content: Callable[[], Any] | None = None
    is_for_failed: bool = False
    action: Action = Action.SERVER_CONTENT


def _in_folder(call: Call) -> Sequence[tuple[str, str]]:
    """The folder that an act on files is about."""
    return [("files", call.target)]


def _copy_of(name: str, found: str) -> bool:
    """Whether a file is named as the copy of another: "a copy.txt" or "a copy 2.txt" for "a.txt"."""
    return found.startswith(f"{name.partition('.')[0]} copy")


def _startup(driver: Startup, call: Call) -> dict[str, Any]:
    """Without the tokens of a game session, should the egg not hide them any more."""
    shown = asdict(driver.startup(call.identifier))
    variables = [each for each in shown["variables"] if each["env_variable"] not in VARIABLES]
    return shown | {"variables": variables}


def relay_address(server_id: UUID | None) -> str:
    """Where browsers follow this server's console if they cannot reach its node."""
    return f"{settings.CONSOLE_RELAY_URL}{RELAY_PATH}{reverse('servers:console', args=[server_id])}"


def _console_key(driver: Console, call: Call) -> dict[str, str]:
    """The node's socket and its token; where a browser cannot reach that, the relay's, which takes the session."""
    relay = {"socket": relay_address(call.server_id), "token": ""}
    if Provider.objects.filter(blueprints__servers=call.server_id, is_console_relayed=True).exists():
        return relay
    access = driver.console_access(call.identifier)
    is_blocked = settings.SITE_URL.startswith("https:") and access.socket.startswith("ws:")
    return relay if is_blocked else {"socket": access.socket, "token": access.token}


LISTINGS: Mapping[str, ListingKind] = {
    "backups": ListingKind(Backups, lambda driver, call: [asdict(each) for each in driver.backups(call.identifier)]),
    "databases": ListingKind(
        Databases, lambda driver, call: [asdict(each) for each in driver.databases(call.identifier)]
    ),
    "startup": ListingKind(Startup, _startup),
    "schedules": ListingKind(
        Schedules, lambda driver, call: [asdict(each) for each in driver.schedules(call.identifier)]
    ),
    "network": ListingKind(Network, lambda driver, call: [asdict(each) for each in driver.ports(call.identifier)]),
    "reverse_dns": ListingKind(
        ReverseDns, lambda driver, call: [asdict(each) for each in driver.reverse_names(call.identifier)]
    ),
    "logs": ListingKind(Logs, lambda driver, call: driver.last_lines(call.identifier)),
    "sftp": ListingKind(Sftp, lambda driver, call: asdict(driver.sftp(call.identifier, call.target))),
    "files": ListingKind(
        Files, lambda driver, call: [asdict(each) for each in driver.folder(call.identifier, call.target)]
    ),
    "installs": ListingKind(Rebuild, lambda driver, call: [{"ref": each} for each in driver.installs(call.identifier)]),
    "file": ListingKind(Files, lambda driver, call: texts.read(driver, call.identifier, call.target)),
}
OPERATIONS: Mapping[str, OperationKind] = {
    "backup.create": OperationKind(
        Backups,
        lambda driver, call: driver.create_backup(call.identifier, call.arguments["name"]),
        _("Make a backup"),
        is_repeatable=False,
        listing="backups",
        makes=lambda backup, call: backup["name"] == call.arguments["name"],
        changes=["backups"],
        action=Action.SERVER_BACK_UP,
    ),
    "backup.restore": OperationKind(
        Backups,
        lambda driver, call: driver.restore_backup(call.identifier, call.target),
        _("Restore a backup"),
        is_repeatable=False,
        changes=["backups"],
    ),
    "backup.lock": OperationKind(
        Backups,
        lambda driver, call: driver.lock_backup(call.identifier, call.target, call.arguments["is_locked"]),
        _("Lock or unlock a backup"),
        changes=["backups"],
    ),
    "backup.delete": OperationKind(
        Backups,
        lambda driver, call: driver.delete_backup(call.identifier, call.target),
        _("Delete a backup"),
        changes=["backups"],
    ),
    "backup.download": OperationKind(
        Backups,
        lambda driver, call: {"url": driver.backup_link(call.identifier, call.target)},
        _("Download a backup"),
    ),
    "database.create": OperationKind(
        Databases,
        lambda driver, call: {
            "password": driver.create_database(call.identifier, call.arguments["name"], call.arguments["remote"])
        },
        _("Make a database"),
        is_repeatable=False,
        listing="databases",
        makes=lambda database, call: database["name"].partition("_")[2] == call.arguments["name"],
        changes=["databases"],
    ),
    "database.password": OperationKind(
        Databases,
        lambda driver, call: {"password": driver.database_password(call.identifier, call.target)},
        _("Show a password"),
    ),
    "database.rotate": OperationKind(
        Databases,
        lambda driver, call: {"password": driver.rotate_password(call.identifier, call.target)},
        _("Change a password"),
    ),
    "database.delete": OperationKind(
        Databases,
        lambda driver, call: driver.delete_database(call.identifier, call.target),
        _("Delete a database"),
        changes=["databases"],
    ),
    "startup.variable": OperationKind(
        Startup,
        lambda driver, call: driver.set_variable(call.identifier, call.target, call.content),
        _("Change a setting"),
        changes=["startup"],
        keep=lambda server, call, at: kept.keep_variable(server, call.target, call.content, at=at),
    ),
    "startup.image": OperationKind(
        Startup,
        lambda driver, call: driver.set_image(call.identifier, call.arguments["image"]),
        _("Change the version"),
        changes=["startup"],
        keep=lambda server, call, at: kept.keep_image(server, call.arguments["image"], at=at),
    ),
    "schedule.create": OperationKind(  # its command may be a password, as one that is typed on the console
        Schedules,
        lambda driver, call: driver.create_schedule(
            call.identifier,
            call.arguments["name"],
            call.arguments["cron"],
            RemoteTask(call.arguments["action"], call.content),
        ),
        _("Make a schedule"),
        changes=["schedules"],
    ),
    "schedule.switch": OperationKind(
        Schedules,
        lambda driver, call: driver.switch_schedule(call.identifier, call.target, call.arguments["is_active"]),
        _("Switch a schedule on or off"),
        changes=["schedules"],
    ),
    "schedule.run": OperationKind(
        Schedules,
        lambda driver, call: driver.run_schedule(call.identifier, call.target),
        _("Run a schedule"),
        is_repeatable=False,
        changes=["schedules"],
    ),
    "schedule.delete": OperationKind(
        Schedules,
        lambda driver, call: driver.delete_schedule(call.identifier, call.target),
        _("Delete a schedule"),
        changes=["schedules"],
    ),
    "reinstall": OperationKind(
        InstallsAgain,
        lambda driver, call: driver.install_again(call.identifier),
        _("Install again"),
        is_repeatable=False,
        keep=lambda server, _call, at: kept.follow_install(server, at=at),
    ),
    "rebuild": OperationKind(
        Rebuild,
        lambda driver, call: rebuilding.rebuild(driver, call.server_id, call.arguments, call.content),
        _("Rebuild"),
        is_repeatable=False,
        listing="installs",
        makes=lambda _install, _call: True,
        keep=lambda server, call, at: rebuilding.keep(server, call.arguments, call.content, at=at),
        new_content=rebuilding.new_content,
        is_for_failed=True,
    ),
    "container.change": OperationKind(
        Rebuild,
        lambda driver, call: rebuilding.rebuild(driver, call.server_id, {**call.arguments, **call.content}, {}),
        _("Change the container"),
        is_repeatable=False,
        listing="installs",
        makes=lambda _install, _call: True,
        keep=lambda server, call, at: rebuilding.keep(server, {**call.arguments, **call.content}, {}, at=at),
        is_for_failed=True,
    ),
    "rescue.open": OperationKind(
        RescueConsole,
        lambda driver, call: {"url": driver.rescue_link(call.identifier, call.target)},
        _("Open the rescue console"),
    ),
    "root_password": OperationKind(
        RootPassword,
        lambda driver, call: driver.set_root_password(call.identifier, builds.new_root_password()),
        _("Make a new root password"),
        keep=lambda server, call, _at: kept.keep_root_password(server, call.result),
    ),
    "file.write": OperationKind(
        Files,
        lambda driver, call: texts.write(driver, call.identifier, call.target, call.content),
        _("Save a file"),
        changes_in=lambda call: [("file", call.target), ("files", call.target.rpartition("/")[0])],
        keeps_content=True,
    ),
    "file.folder": OperationKind(
        Files,
        lambda driver, call: driver.make_folder(
            call.identifier, f"{call.target}/{call.arguments['name']}".removeprefix("/")
        ),
        _("Make a folder"),
        changes_in=_in_folder,
    ),
    "file.move": OperationKind(  # the target is the folder into which they go
        Files,
        lambda driver, call: driver.move_files(call.identifier, call.arguments["pairs"]),
        _("Move files"),
        is_repeatable=False,
        listing="files",
        makes=lambda file, call: file["ref"] == call.arguments["pairs"][0][1].rpartition("/")[2],
        changes_in=_in_folder,
    ),
    "file.copy": OperationKind(
        Files,
        lambda driver, call: driver.copy_file(
            call.identifier, f"{call.target}/{call.arguments['names'][0]}".removeprefix("/")
        ),
        _("Copy a file"),
        is_repeatable=False,
        listing="files",
        makes=lambda file, call: _copy_of(call.arguments["names"][0], file["ref"]),
        changes_in=_in_folder,
    ),
    "file.delete": OperationKind(
        Files,
        lambda driver, call: driver.delete_files(call.identifier, call.target, call.arguments["names"]),
        _("Delete files"),
        changes_in=_in_folder,
    ),
    "file.compress": OperationKind(
        Files,
        lambda driver, call: driver.compress_files(call.identifier, call.target, call.arguments["names"]),
        _("Compress files"),
        is_repeatable=False,
        listing="files",
        makes=lambda file, call: file["ref"].startswith("archive-"),
        changes_in=_in_folder,
    ),
    "file.extract": OperationKind(
        Files,
        lambda driver, call: driver.extract_file(call.identifier, call.target, call.arguments["names"][0]),
        _("Extract an archive"),
        is_repeatable=False,
        changes_in=_in_folder,
    ),
    "file.download": OperationKind(
        Files,
        lambda driver, call: {"url": driver.file_link(call.identifier, call.target)},
        _("Download a file"),
    ),
    "file.upload": OperationKind(
        Files,
        lambda driver, call: asdict(driver.upload_link(call.identifier)),
        _("Upload files"),
    ),
    "console.command": OperationKind(  # what is typed may be a password: it is content, which no audit entry has
        Console,
        lambda driver, call: driver.send_command(call.identifier, call.content),
        _("Send a command"),
        is_repeatable=False,
        action=Action.SERVER_CONSOLE,
    ),
    "console.open": OperationKind(
        Console,
        _console_key,
        _("Open the console"),
        action=Action.SERVER_CONSOLE,
    ),
    "network.name": OperationKind(
        ReverseDns,
        lambda driver, call: driver.set_reverse_name(call.identifier, call.target, call.arguments["name"]),
        _("Change a reverse DNS name"),
        changes=["reverse_dns"],
    ),
    "network.note": OperationKind(
        Network,
        lambda driver, call: driver.note_port(call.identifier, call.target, call.arguments["note"]),
        _("Change the note of a port"),
        changes=["network"],
    ),
}
