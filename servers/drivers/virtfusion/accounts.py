"""Users of a control server, found by our user's id as its `relStr` and never by e-mail, and their SSH keys."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from core import outside
from servers.drivers.abilities import AccountOwner
from servers.drivers.base import Account, AccountConflict, AccountNotFound, WrongState
from servers.drivers.virtfusion.client import PanelClient, number, says, words_of

BY_STRING = {"relStr": "true"}
NO_SELF_SERVICE = 0
MAX_NAME = 100


def account_of(panel: PanelClient, owner: AccountOwner) -> Account:
    """The owner's account, created if the panel has none under our id. Raises AccountConflict."""
    key = str(owner.key)
    if account := find_account(panel, key):
        return account
    # Its password comes once, in the answer, and is not kept: owners sign in by the panel's own reset.
    fields = _fields(owner) | {"relStr": key, "sendMail": False, "selfService": NO_SELF_SERVICE}
    try:
        return _account(panel.create("/users", fields), key)
    except outside.Rejected as error:
        # Either an earlier call of ours created it, whose answer was lost, or the address belongs to another account.
        if account := find_account(panel, key):
            return account
        raise _conflict(error) from None


def update_account(panel: PanelClient, account: Account, owner: AccountOwner) -> Account:
    """Give the account its owner's present address and name. Raises AccountConflict, AccountNotFound."""
    try:
        panel.write("PUT", f"/users/{owner.key}/byExtRelation", _fields(owner), BY_STRING)
    except outside.Rejected as error:
        if says(error, "ext_relation_id not found"):
            raise AccountNotFound(str(error), status=error.status) from None
        raise _conflict(error) from None
    return Account(account.ref, account.username, account.is_admin, owner.email)


def find_account(panel: PanelClient, key: str) -> Account | None:
    """The account that carries our id; None when the panel says that there is none."""
    try:
        return _account(panel.read(f"/users/{key}/byExtRelation", BY_STRING), key)
    except outside.Rejected as error:
        if says(error, "ext_relation_id not found"):
            return None
        raise


def sign_in_link(panel: PanelClient, account: str, server_id: int) -> str:
    """An address that signs the account in at one server's page, for a minute and once."""
    path = f"/users/{UUID(account)}/serverAuthenticationTokens/{server_id}"
    return panel.page(str(panel.create(path, {}, BY_STRING)["authentication"]["endpoint_complete"]))


def servers_of(panel: PanelClient, account: Account) -> list[dict[str, Any]]:
    """What the panel lists of the account's servers. Raises AccountNotFound where it no longer has the account."""
    try:
        return list(panel.read(f"/servers/user/{number(account.ref, 'an account')}"))
    except outside.Rejected as error:
        # Only what is known to be the panel's word for a missing user counts: no servers would mean "create one".
        if error.status == 404 and find_account(panel, account.username) is None:
            raise AccountNotFound(str(error), status=error.status) from None
        raise


def ssh_key_ids(panel: PanelClient, account: Account, lines: Sequence[str]) -> list[int]:
    """The ids of these public keys among the account's; those that it does not have are added."""
    user_id = number(account.ref, "an account")
    known = {_key(each["publicKey"]): int(each["id"]) for each in panel.read(f"/ssh_keys/user/{user_id}")}
    for line in lines:
        if _key(line) not in known:
            comment = " ".join(line.split()[2:]) or "SSH key"
            added = panel.create("/ssh_keys", {"userId": user_id, "name": comment[:MAX_NAME], "publicKey": line})
            known[_key(line)] = int(added["id"])
    return [known[_key(line)] for line in lines]


def _key(line: str) -> tuple[str, ...]:
    """The type and the key itself, without the comment."""
    return tuple(str(line).split()[:2])


def _fields(owner: AccountOwner) -> dict[str, Any]:
    name = f"{owner.first_name} {owner.last_name}".strip() or owner.email.partition("@")[0]
    return {"name": name[:MAX_NAME], "email": owner.email}


def _conflict(error: outside.Rejected) -> outside.Rejected:
    """What a refused user means: versions answer 409, or 422 that names the address."""
    if not isinstance(error, WrongState) and "email" not in words_of(error.body).lower():
        return error
    reason = _("VirtFusion has another user with this customer's email address. Link or rename it there first.")
    return AccountConflict(reason, status=error.status, code=error.code)


def _account(user: dict[str, Any], key: str) -> Account:
    return Account(str(user["id"]), key, bool(user.get("admin")), str(user.get("email") or ""))
