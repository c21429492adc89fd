"""Roles, confirmed addresses and sessions, to read: they change by `seed`, by the person, and by signing in or out."""

from allauth.account import admin as allauth_account
from allauth.account.models import EmailAddress
from allauth.usersessions import admin as allauth_usersessions
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth import admin as django_auth
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

from core.staff import Record

# The libraries' own pages let staff type anything; importing them first registers them, so that ours can replace them.
REPLACED = (allauth_account, allauth_usersessions, django_auth)
for _model in (EmailAddress, UserSession, Group):
    admin.site.unregister(_model)


@admin.register(EmailAddress)
class EmailAddressAdmin(Record):
    """Whether a person's address is confirmed; only the person can confirm it."""

    list_display = ("email", "user", "verified", "primary")
    list_filter = ("verified", "primary")
    list_select_related = ("user",)
    search_fields = ("email",)


@admin.register(UserSession)
class UserSessionAdmin(Record):
    """Where people are signed in. The session's key is a secret and is not shown."""

    list_display = ("user", "ip", "created_at", "last_seen_at", "user_agent")
    list_select_related = ("user",)
    search_fields = ("user__email", "=ip")
    date_hierarchy = "created_at"
    sections = ((None, ("user", "ip", "user_agent", "created_at", "last_seen_at")),)


@admin.register(Group)
class GroupAdmin(Record):
    """A staff role with what it may do, as accounts/roles.py says."""

    list_display = ("name",)
    search_fields = ("name",)
    sections = ((None, ("name", "granted")),)

    @admin.display(description=_("permissions"))
    def granted(self, group: Group) -> str:
        """Its permissions, one a line."""
        rows = group.permissions.select_related("content_type").order_by("content_type__app_label", "codename")
        return "\n".join(f"{row.content_type.app_label}.{row.codename}" for row in rows)
