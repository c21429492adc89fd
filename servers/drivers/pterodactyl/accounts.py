"""Users' accounts on a panel: found by our id and never by e-mail, created with a password."""

import re
import secrets
import unicodedata
from typing import Any

from django.utils.translation import gettext as _

from core import outside
from core.ids import uuid_of
from servers.drivers.abilities import AccountOwner
from servers.drivers.base import Account, AccountConflict, AccountNotFound
from servers.drivers.pterodactyl.client import PanelClient, is_not_found, validation_errors

MAX_NAME = 191
PASSWORD_BYTES = 24
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]+")


def account_of(panel: PanelClient, owner: AccountOwner) -> Account:
    """The owner's account, created if the panel has none under our id. Raises AccountConflict."""
    if account := find_account(panel, owner):
        return account
    # Without a password two creations that overlap fail. It is never used.
    fields = _fields(owner, f"nb-{owner.key.hex}") | {"password": secrets.token_urlsafe(PASSWORD_BYTES)}
    try:
        return _account(panel.write("POST", "/users", fields)["attributes"])
    except outside.Rejected as error:
        taken = {each.field for each in validation_errors(error) if each.rule == "unique"}
        if not taken:
            raise
        # Either an earlier call of ours created it, whose answer was lost, or the address belongs to another account.
        if account := find_account(panel, owner):
            return account
        raise _conflict(error, taken) from None


def update_account(panel: PanelClient, account: Account, owner: AccountOwner) -> Account:
    """Give the account its owner's present address and name. Raises AccountConflict, AccountNotFound."""
    try:
        fields = _fields(owner, account.username)
        return _account(panel.write("PATCH", f"/users/{int(account.ref)}", fields)["attributes"])
    except outside.Rejected as error:
        if is_not_found(error):
            raise AccountNotFound(str(error), status=error.status, code=error.code) from None
        taken = {each.field for each in validation_errors(error) if each.rule == "unique"}
        if taken:
            raise _conflict(error, taken) from None
        raise


def find_account(panel: PanelClient, owner: AccountOwner) -> Account | None:
    """The account that carries our id; None when the panel says that there is none."""
    try:
        attributes = panel.read(f"/users/external/{owner.key}")["attributes"]
    except outside.Rejected as error:
        if is_not_found(error):
            return None
        raise
    if str(attributes.get("external_id")).lower() != str(owner.key):
        raise outside.Unavailable("the panel answered with another user than the one asked for")
    return _account(attributes)


def server_on_port(panel: PanelClient, account: Account, allocation_ref: str) -> int | None:
    """The number of the account's server that has this primary port and carries no id of ours."""
    try:
        attributes = panel.read(f"/users/{int(account.ref)}", {"include": "servers"})["attributes"]
    except outside.Rejected as error:
        if is_not_found(error):
            return None
        raise
    servers = (each["attributes"] for each in attributes["relationships"]["servers"]["data"])
    on_port = (each for each in servers if str(each["allocation"]) == allocation_ref)
    return next((int(each["id"]) for each in on_port if uuid_of(each["external_id"]) is None), None)


def _fields(owner: AccountOwner, username: str) -> dict[str, str]:
    """What the panel asks for, always all of it: a change demands the required ones again."""
    return {
        "external_id": str(owner.key),
        "email": owner.email,
        "username": username,
        "first_name": _name(owner.first_name) or _name(owner.email.partition("@")[0]) or "Customer",
        "last_name": _name(owner.last_name) or "Customer",
    }


def _conflict(error: outside.Rejected, taken: set[str]) -> AccountConflict:
    if "email" in taken:
        reason = _("The panel has another account with this customer's email address. Link or rename it there first.")
    else:
        reason = _("The panel refused the customer's account: {fields} already in use there.").format(
            fields=", ".join(sorted(taken))
        )
    return AccountConflict(reason, status=error.status, code=error.code)


def _account(attributes: dict[str, Any]) -> Account:
    return Account(
        ref=str(attributes["id"]),
        username=str(attributes.get("username") or ""),
        is_admin=bool(attributes.get("root_admin")),
        email=str(attributes.get("email") or ""),
    )


def _name(text: str) -> str:
    """One line of at most 191 characters, as the panel's column takes it."""
    return _CONTROL_CHARACTERS.sub(" ", unicodedata.normalize("NFC", text)).strip()[:MAX_NAME].strip()
