"""Roles, email addresses and sessions, read-only: roles come from `seed`, the others from what users do."""

from allauth.account import admin as allauth_account
from allauth.account.models import EmailAddress
from allauth.usersessions import admin as allauth_usersessions
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth import admin as django_auth
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

from core.admin_base import ReadOnlyAdmin

# The libraries' own admins let staff edit everything. Importing them registers them, so that ours can replace them.
REPLACED = (allauth_account, allauth_usersessions, django_auth)
for _model in (EmailAddress, UserSession, Group):
    admin.site.unregister(_model)


@admin.register(EmailAddress)
class EmailAddressAdmin(ReadOnlyAdmin):
    """Whether a user's address is confirmed; only the user can confirm it."""

    list_display = ("email", "user", "verified", "primary")
    list_filter = ("verified", "primary")
    list_select_related = ("user",)
    search_fields = ("email",)


@admin.register(UserSession)
class UserSessionAdmin(ReadOnlyAdmin):
    """Where users are signed in. The session's key is a secret and is not shown."""

    list_display = ("user", "ip", "created_at", "last_seen_at", "user_agent")
    list_select_related = ("user",)
    search_fields = ("user__email", "=ip")
    date_hierarchy = "created_at"
    sections = ((None, ("user", "ip", "user_agent", "created_at", "last_seen_at")),)


@admin.register(Group)
class GroupAdmin(ReadOnlyAdmin):
    """A staff role with its permissions, as accounts/permissions.py declares them."""

    list_display = ("name",)
    search_fields = ("name",)
    sections = ((None, ("name", "granted")),)

    @admin.display(description=_("permissions"))
    def granted(self, group: Group) -> str:
        """Its permissions, one per line."""
        rows = group.permissions.select_related("content_type").order_by("content_type__app_label", "codename")
        return "\n".join(f"{row.content_type.app_label}.{row.codename}" for row in rows)
