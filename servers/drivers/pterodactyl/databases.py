"""The databases of a panel's servers, by its client API."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from core import outside
from servers.drivers.pterodactyl.client import PanelClient, items_of
from servers.drivers.pterodactyl.self_service import client_path, raise_refused
from servers.drivers.self_service import Refused, RemoteDatabase

SENTENCES = {
    "TooManyDatabasesException": _("All the databases of your plan are used. Delete one first, or change your plan."),
    "DuplicateDatabaseNameException": _("The server has a database of this name already. Choose another name."),
    "NoSuitableDatabaseHostException": _("There is no database server for this node. Please contact support."),
}
WITH_PASSWORD = {"include": "password"}


class PanelDatabases:
    """The databases of a panel's servers. Their passwords are in no list."""

    _panel: PanelClient

    def databases(self, identifier: str) -> list[RemoteDatabase]:
        """Every database of the server, by name."""
        found = [
            RemoteDatabase(
                ref=str(each["id"]),
                name=str(each["name"]),
                username=str(each["username"]),
                host=str(each["host"]["address"]),
                port=int(each["host"]["port"]),
                remote=str(each["connections_from"]),
            )
            for each in items_of(self._panel.client_read(client_path(identifier, "databases")))
        ]
        return sorted(found, key=lambda database: database.name)

    def create_database(self, identifier: str, name: str, remote: str) -> str:
        """Make one; its password. Raises Refused where the name is taken, or the plan has no more."""
        return self._password(client_path(identifier, "databases"), {"database": name, "remote": remote})

    def database_password(self, identifier: str, ref: str) -> str:
        """The password of a database."""
        body = self._panel.client_read(client_path(identifier, "databases"), WITH_PASSWORD)
        for each in items_of(body):
            if str(each["id"]) == ref:
                return _password_of(each)
        raise Refused(str(_("The database does not exist any more.")))

    def rotate_password(self, identifier: str, ref: str) -> str:
        """Give a database another password. A repeat gives it one more, and the last one holds."""
        return self._password(client_path(identifier, "databases", ref, "rotate-password"), {})

    def delete_database(self, identifier: str, ref: str) -> None:
        """Delete one with all that is in it."""
        self._panel.client_delete(client_path(identifier, "databases", ref))

    def _password(self, path: str, fields: dict[str, Any]) -> str:
        try:
            answer = self._panel.client_answer(path, fields)
        except outside.OutsideError as error:
            raise_refused(error, SENTENCES)
            raise
        return _password_of(answer["attributes"])


def _password_of(attributes: dict[str, Any]) -> str:
    return str(attributes["relationships"]["password"]["attributes"]["password"])
