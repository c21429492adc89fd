"""The admin of users, organizations and roles."""

from accounts.admin.access import EmailAddressAdmin, GroupAdmin, UserSessionAdmin
from accounts.admin.organizations import MembershipAdmin, OrganizationAdmin
from accounts.admin.users import SshKeyAdmin, UserAdmin

__all__ = [
    "EmailAddressAdmin",
    "GroupAdmin",
    "MembershipAdmin",
    "OrganizationAdmin",
    "SshKeyAdmin",
    "UserAdmin",
    "UserSessionAdmin",
]
