"""The admin of users, organizations and roles."""

from accounts.admin.access import EmailAddressAdmin, GroupAdmin, UserSessionAdmin
from accounts.admin.organizations import MembershipAdmin, OrganizationAdmin
from accounts.admin.users import UserAdmin

__all__ = [
    "EmailAddressAdmin",
    "GroupAdmin",
    "MembershipAdmin",
    "OrganizationAdmin",
    "UserAdmin",
    "UserSessionAdmin",
]
