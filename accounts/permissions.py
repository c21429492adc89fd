"""Who may do what: the members of an organization, who was given access to one server, and staff.

`PERMISSIONS` is for customers' pages. A lookup takes an action and finds only rows to which the user may do it
(`servers.queries.servers_for`); row-level security shows no more, whatever a lookup forgets. Staff roles are Django
groups, and every `seed` sets their permissions to what is written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from django.contrib.auth.models import Group, Permission
from django.db import models

from accounts.models import AccessLevel, Organization, Role, User
from core import tenancy


class Action(StrEnum):
    """What a user can do on customers' pages."""

    ORGANIZATION_VIEW = "organization.view"  # with all its rows: what row-level security shows
    ORGANIZATION_BILL = "organization.bill"  # who is billed, and where
    ORDER_PLACE = "order.place"
    ORDER_VIEW = "order.view"
    ORDER_PAY = "order.pay"
    ORDER_CANCEL = "order.cancel"
    INVOICE_VIEW = "invoice.view"
    INVOICE_PAY = "invoice.pay"
    PAYMENT_METHOD_MANAGE = "payment_method.manage"
    WALLET_VIEW = "wallet.view"
    WALLET_TOP_UP = "wallet.top_up"
    SUBSCRIPTION_VIEW = "subscription.view"
    SUBSCRIPTION_CANCEL = "subscription.cancel"  # and undo that
    SUBSCRIPTION_RENEW = "subscription.renew"  # automatically, or not
    SUBSCRIPTION_PAUSE = "subscription.pause"  # and end that
    PLAN_CHANGE = "plan.change"
    SERVER_VIEW = "server.view"
    SERVER_POWER = "server.power"
    SERVER_RENAME = "server.rename"
    SERVER_BACK_UP = "server.back_up"  # see backups, and make one
    SERVER_CONSOLE = "server.console"  # read its output, and type commands
    SERVER_CONTENT = "server.content"  # whatever changes or reveals what is inside
    SERVER_ACTIVITY = "server.activity"  # who did what with it
    SERVER_TRANSFER = "server.transfer"  # to another organization
    SERVER_ACCESS = "server.access"  # who else may do what with it


IN_CHARGE = frozenset[Role | AccessLevel]({Role.OWNER, Role.ADMIN})
# The roles that may do it to all that their organization has, and the levels of access to one server that suffice for
# that server. A plain member may do only what they were given access to.
PERMISSIONS: Mapping[Action, frozenset[Role | AccessLevel]] = {
    Action.ORGANIZATION_VIEW: IN_CHARGE,
    Action.ORGANIZATION_BILL: IN_CHARGE,
    Action.ORDER_PLACE: IN_CHARGE,
    Action.ORDER_VIEW: IN_CHARGE,
    Action.ORDER_PAY: IN_CHARGE,
    Action.ORDER_CANCEL: IN_CHARGE,
    Action.INVOICE_VIEW: IN_CHARGE,
    Action.INVOICE_PAY: IN_CHARGE,
    Action.PAYMENT_METHOD_MANAGE: IN_CHARGE,
    Action.WALLET_VIEW: IN_CHARGE,
    Action.WALLET_TOP_UP: IN_CHARGE,
    Action.SUBSCRIPTION_VIEW: IN_CHARGE,
    Action.SUBSCRIPTION_CANCEL: IN_CHARGE,
    Action.SUBSCRIPTION_RENEW: IN_CHARGE,
    Action.SUBSCRIPTION_PAUSE: IN_CHARGE,
    Action.PLAN_CHANGE: IN_CHARGE,
    Action.SERVER_VIEW: IN_CHARGE | {AccessLevel.VIEW, AccessLevel.OPERATE, AccessLevel.MANAGE},
    Action.SERVER_POWER: IN_CHARGE | {AccessLevel.OPERATE, AccessLevel.MANAGE},
    Action.SERVER_RENAME: IN_CHARGE | {AccessLevel.MANAGE},
    Action.SERVER_BACK_UP: IN_CHARGE | {AccessLevel.OPERATE, AccessLevel.MANAGE},
    Action.SERVER_CONSOLE: IN_CHARGE | {AccessLevel.OPERATE, AccessLevel.MANAGE},
    Action.SERVER_CONTENT: IN_CHARGE | {AccessLevel.MANAGE},
    Action.SERVER_ACTIVITY: IN_CHARGE | {AccessLevel.MANAGE},
    Action.SERVER_TRANSFER: frozenset({Role.OWNER}),
    Action.SERVER_ACCESS: IN_CHARGE,
}


@dataclass(frozen=True)
class Access:
    """What the user of a request may do, by their role in each of their organizations."""

    user_id: UUID | None = None
    roles: Mapping[UUID, Role] = field(default_factory=dict)

    @property
    def is_limited(self) -> bool:
        """Whether the user is a plain member somewhere, who sees only the servers that they were given access to."""
        return Role.MEMBER in self.roles.values()

    def organizations(self, action: Action) -> tuple[UUID, ...]:
        """Where the user may do the action to all that the organization has."""
        return tuple(pk for pk, role in self.roles.items() if role in PERMISSIONS[action])

    def actions(self, organization_id: UUID | None, level: str = "") -> frozenset[Action]:
        """What the user may do in the organization, or to one of its servers with this level of access to it."""
        role = self.roles.get(organization_id) if organization_id else None
        return frozenset(action for action, holders in PERMISSIONS.items() if role and holders & {role, level})

    def may(self, action: Action, organization: Organization | None) -> bool:
        """Whether the user may do the action to all that the organization has."""
        return organization is not None and action in self.actions(organization.pk)


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
    "catalog.add_image",
    "catalog.change_image",
    "catalog.add_promotion",
    "catalog.change_promotion",
    "catalog.add_coupon",
    "catalog.change_coupon",
)
BILLING_WRITES = (
    "billing.add_refund",
    "billing.add_creditgrant",
    "billing.change_payment",
    "billing.change_invoice",
    "billing.change_subscription",
    "billing.change_unexplaineditem",
    "billing.add_pricecampaign",
    "billing.change_pricecampaign",
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
STAFF_ROLES: Mapping[str, tuple[str, ...]] = {
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


def ensure_staff_roles() -> None:
    """Create the four groups and set their permissions to those above. Calling it twice changes nothing."""
    rows: models.QuerySet[Permission] = Permission.objects.select_related("content_type")
    with tenancy.as_worker():
        permissions = {f"{row.content_type.app_label}.{row.codename}": row for row in rows}
        for name, patterns in STAFF_ROLES.items():
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


def can_assign_staff_roles(user: User) -> bool:
    """Whether the user may make others staff and give them roles: superadmins only."""
    return user.is_superuser or SUPERADMIN in user.role_names
