"""Staff roles: Django groups whose permissions are kept as written here by every `seed`."""

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import Group, Permission
from django.db import models

from accounts.models import User
from core import tenancy

SUPERADMIN, ADMIN, BILLING, SUPPORT = "superadmin", "admin", "billing", "support"
EVERYTHING = "*"
# Of these apps no role but superadmin gets more than a look: they say who may do what.
_KEYS_OF_THE_HOUSE = frozenset({"admin", "auth", "contenttypes", "sessions", "account", "usersessions"})

_CATALOG_WRITES = (
    "catalog.add_product",
    "catalog.change_product",
    "catalog.add_plan",
    "catalog.change_plan",
    "catalog.add_planprice",
    "catalog.add_addon",
    "catalog.change_addon",
    "catalog.add_addonprice",
)
_MONEY_WRITES = ("billing.add_refund", "billing.change_payment", "billing.change_gatewayevent", "orders.change_order")
_CARE_WRITES = (
    "servers.change_server",
    "servers.add_serverhold",
    "servers.change_serverhold",
    "servers.change_provisioningtask",
    "support.change_delivery",
    "orders.change_order",
)
# "app.*" is every permission of an app, "app.view_*" every look into it.
ROLES: Mapping[str, tuple[str, ...]] = {
    SUPERADMIN: (EVERYTHING,),
    ADMIN: (
        *("accounts.view_*", "accounts.change_user", "accounts.change_organization", "account.view_*"),
        *("core.view_*", "core.change_setting", "catalog.*", "billing.*", "servers.*", "orders.*", "support.*"),
        "admin.view_*",
    ),
    BILLING: (
        *("accounts.view_user", "accounts.view_organization", "accounts.view_membership"),
        "accounts.change_organization",
        *("catalog.view_*", "billing.view_*", "orders.view_*", "servers.view_server"),
        *_CATALOG_WRITES,
        *_MONEY_WRITES,
    ),
    SUPPORT: (
        *("accounts.view_user", "accounts.view_organization", "accounts.view_membership", "account.view_emailaddress"),
        *("catalog.view_*", "servers.view_*", "orders.view_*", "support.view_*"),
        *("billing.view_invoice", "billing.view_invoiceitem", "billing.view_payment", "billing.view_refund"),
        *("billing.view_subscription", "billing.view_subscriptionitem"),
        *_CARE_WRITES,
    ),
}


class UnknownPermission(LookupError):
    """A role names a permission that no model has."""


def ensure_roles() -> None:
    """Make the four groups and give each exactly the permissions written above. Calling it twice changes nothing."""
    with tenancy.as_worker():
        known = _permissions()
        for name, patterns in ROLES.items():
            group, _is_new = Group.objects.get_or_create(name=name)
            group.permissions.set(_matching(known, patterns))


def may_assign_roles(user: User) -> bool:
    """Whether the person may say who is staff and with which role: superadmins only."""
    return user.is_superuser or SUPERADMIN in names_of(user)


def names_of(user: User) -> frozenset[str]:
    """The person's roles; asked once for a loaded user."""
    if not hasattr(user, "_role_names"):
        user._role_names = frozenset(user.groups.values_list("name", flat=True))  # type: ignore[attr-defined]
    return user._role_names  # type: ignore[no-any-return, attr-defined]


def _permissions() -> dict[str, Permission]:
    rows: models.QuerySet[Permission] = Permission.objects.select_related("content_type")
    return {f"{row.content_type.app_label}.{row.codename}": row for row in rows}


def _matching(known: Mapping[str, Permission], patterns: Iterable[str]) -> set[Permission]:
    found: set[Permission] = set()
    for pattern in patterns:
        matches = {row for label, row in known.items() if _fits(label, pattern)}
        if not matches:
            raise UnknownPermission(pattern)
        found |= matches
    return found


def _fits(label: str, pattern: str) -> bool:
    if pattern == EVERYTHING:
        return True
    if pattern.endswith("*"):
        is_look = pattern.endswith("view_*")
        return label.startswith(pattern[:-1]) and (is_look or label.split(".")[0] not in _KEYS_OF_THE_HOUSE)
    return label == pattern
