"""People's accounts on a panel: found by our id and never by e-mail, made with a password."""

import re
import secrets
import unicodedata
from typing import Any

from django.utils.translation import gettext as _

from core import outside
from core.outside import OutsideError
from servers.drivers.base import Account, AccountConflict, Person
from servers.drivers.pterodactyl.client import PanelClient, broken_rules, is_absent

MAX_NAME = 191
PASSWORD_BYTES = 24
_NOT_A_NAME = re.compile(r"[\x00-\x1f\x7f]+")


def account_of(panel: PanelClient, person: Person) -> Account:
    """The person's account, made if the panel has none under our id. Raises AccountConflict."""
    return _found(panel, person) or _made(panel, person)


def _found(panel: PanelClient, person: Person) -> Account | None:
    try:
        attributes = panel.get(f"/users/external/{person.key}")["attributes"]
    except outside.Rejected as error:
        if is_absent(error):
            return None
        raise
    if str(attributes.get("external_id")).lower() != str(person.key):
        raise outside.Unavailable("the panel answered with another user than the one asked for")
    return _account(attributes)


def _made(panel: PanelClient, person: Person) -> Account:
    """A new account. A password is sent because creations without one fail when two overlap; nobody learns it."""
    try:
        return _account(panel.send("POST", "/users", _fields(person))["attributes"])
    except outside.Rejected as error:
        taken = {field for field, rule in broken_rules(error) if rule == "unique"}
        if not taken:
            raise
        # Either an earlier, unheard call of ours made it, or the address is a stranger's.
        return _found(panel, person) or _refuse(error, taken)


def _refuse(error: OutsideError, taken: set[str]) -> Account:
    if "email" in taken:
        reason = _("The panel has another account with this customer's e-mail address. Link or rename it there first.")
    else:
        reason = _("The panel refused the customer's account: {fields} already in use there.").format(
            fields=", ".join(sorted(taken))
        )
    raise AccountConflict(reason, status=error.status, code=error.code)


def _fields(person: Person) -> dict[str, Any]:
    name = person.email.partition("@")[0]
    return {
        "external_id": str(person.key),
        "email": person.email,
        "username": f"nb-{person.key.hex}",
        "first_name": _name(person.first_name) or _name(name) or "Customer",
        "last_name": _name(person.last_name) or "Customer",
        "password": secrets.token_urlsafe(PASSWORD_BYTES),
    }


def _name(text: str) -> str:
    """One line of at most 191 characters, as the panel's column takes it."""
    return _NOT_A_NAME.sub(" ", unicodedata.normalize("NFC", text)).strip()[:MAX_NAME].strip()


def _account(attributes: dict[str, Any]) -> Account:
    return Account(
        ref=str(attributes["id"]),
        username=str(attributes.get("username") or ""),
        is_admin=bool(attributes.get("root_admin")),
    )
