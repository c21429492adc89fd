"""Staff roles: Django groups. Every `seed` sets their permissions to what is written here."""

from collections.abc import Mapping

from django.contrib.auth.models import Group, Permission
from django.db import models

from accounts.models import User
from core import tenancy

SUPERADMIN, ADMIN, BILLING, SUPPORT = "superadmin", "admin", "billing", "support"
ALL_PERMISSIONS = "*"
# These apps decide who may do what, so "app.*" does not include them: only superadmins may change them.
ACCESS_CONTROL_APPS = frozenset({"admin", "auth", "contenttypes", "sessions", "account", "usersessions"})

CATALOG_WRITES = (
    "catalog.add_product",
    "catalog.change_product",
    "catalog.add_plan",
    "catalog.change_plan",
    "catalog.add_planprice",
    "catalog.add_addon",
    "catalog.change_addon",
    "catalog.add_addonprice",
)
BILLING_WRITES = (
    "billing.add_refund",
    "billing.change_payment",
    "billing.change_invoice",
    "billing.change_unexplaineditem",
    "billing.change_gatewayevent",
    "orders.change_order",
)
SUPPORT_WRITES = (
    "servers.change_server",
    "servers.add_serverhold",
    "servers.change_serverhold",
    "servers.change_provisioningtask",
    "servers.change_powertask",
    "servers.change_usagetask",
    "support.change_delivery",
    "orders.change_order",
)
# "app.*" is every permission of an app, "app.view_*" every view permission of it.
ROLES: Mapping[str, tuple[str, ...]] = {
    SUPERADMIN: (ALL_PERMISSIONS,),
    ADMIN: (
        *("accounts.view_*", "accounts.change_user", "accounts.change_organization", "account.view_*"),
        *("core.view_*", "core.change_setting", "catalog.*", "billing.*", "servers.*", "orders.*", "support.*"),
        "admin.view_*",
    ),
    BILLING: (
        *("accounts.view_user", "accounts.view_organization", "accounts.view_membership"),
        "accounts.change_organization",
        *("catalog.view_*", "billing.view_*", "orders.view_*", "servers.view_server"),
        *CATALOG_WRITES,
        *BILLING_WRITES,
    ),
    SUPPORT: (
        *("accounts.view_user", "accounts.view_organization", "accounts.view_membership", "account.view_emailaddress"),
        *("catalog.view_*", "servers.view_*", "orders.view_*", "support.view_*"),
        *("billing.view_invoice", "billing.view_invoiceitem", "billing.view_invoicetax", "billing.view_creditnote"),
        *("billing.view_payment", "billing.view_refund"),
        *("billing.view_subscription", "billing.view_subscriptionitem"),
        *SUPPORT_WRITES,
    ),
}


class UnknownPermission(LookupError):
    """A role lists a permission that no model has."""


def ensure_roles() -> None:
    """Create the four groups and set their permissions to those above. Calling it twice changes nothing."""
    rows: models.QuerySet[Permission] = Permission.objects.select_related("content_type")
    with tenancy.as_worker():
        permissions = {f"{row.content_type.app_label}.{row.codename}": row for row in rows}
        for name, patterns in ROLES.items():
            granted: set[Permission] = set()
            for pattern in patterns:
                matches = {row for label, row in permissions.items() if is_covered(label, pattern)}
                if not matches:
                    raise UnknownPermission(pattern)
                granted |= matches
            group, _is_new = Group.objects.get_or_create(name=name)
            group.permissions.set(granted)


def is_covered(label: str, pattern: str) -> bool:
    """Whether the permission `app.codename` is one of those that the pattern grants."""
    if pattern == ALL_PERMISSIONS:
        return True
    if not pattern.endswith("*"):
        return label == pattern
    is_view = pattern.endswith("view_*")
    return label.startswith(pattern[:-1]) and (is_view or label.split(".")[0] not in ACCESS_CONTROL_APPS)


def can_assign_roles(user: User) -> bool:
    """Whether the user may make others staff and give them roles: superadmins only."""
    return user.is_superuser or SUPERADMIN in user.role_names
