"""The kinds of listings and operations: what a driver must be able to do for each, and which of its calls it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from servers.drivers.self_service import Backups, Databases

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True)
class Call:
    """What a kind is done with: the server's identifier at its provider, what it is about, and what was entered."""

    identifier: str
    target: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    content: Any = None


@dataclass(frozen=True)
class ListingKind:
    """Something that is read: `read` gives JSON."""

    ability: type
    read: Callable[[Any, Call], Any]


@dataclass(frozen=True)
class OperationKind:
    """An act. `label` names it to customers. One that is not `is_repeatable` is not sent again after a lost answer.

    `makes` says of what a listing shows whether it is the act's effect, so that after a lost answer it can be looked
    for among what was not there before. `changes` are the kinds of listings to read again afterwards.
    """

    ability: type
    run: Callable[[Any, Call], Any]
    label: "StrOrPromise"
    is_repeatable: bool = True
    listing: str = ""
    makes: Callable[[Mapping[str, Any], Call], bool] | None = None
    changes: Sequence[str] = ()


LISTINGS: Mapping[str, ListingKind] = {
    "backups": ListingKind(Backups, lambda driver, call: [asdict(each) for each in driver.backups(call.identifier)]),
    "databases": ListingKind(
        Databases, lambda driver, call: [asdict(each) for each in driver.databases(call.identifier)]
    ),
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
}
