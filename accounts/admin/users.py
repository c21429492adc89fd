"""Users. Only superadmins assign roles, and only they change members of staff."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.forms import ModelForm
from django.forms.models import ModelMultipleChoiceField
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import permissions, services
from accounts.admin.organizations import MembershipInline
from accounts.models import SshKey, User, UserStatus
from core import audit
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, ReasonForm, StaffAction

PROFILE = services.PROFILE_FIELDS
ROLE_FIELDS = ("is_staff", "groups")


def suspend(user: User, context: ActionContext) -> str:
    """End every session and refuse new ones."""
    check_authority(user, context)
    if not services.suspend_user(user=user, reason=context.data["reason"], actor=context.user, at=context.at):
        raise ActionError(_("This user is suspended already."))
    return _("%(user)s is suspended and signed out everywhere.") % {"user": user}


def reactivate(user: User, context: ActionContext) -> str:
    """Let the user sign in again."""
    check_authority(user, context)
    if not services.reactivate_user(user=user, reason=context.data["reason"], actor=context.user, at=context.at):
        raise ActionError(_("This user is not suspended."))
    return _("%(user)s can sign in again.") % {"user": user}


def sign_out(user: User, context: ActionContext) -> str:
    """End every session of the user."""
    check_authority(user, context)
    count = services.end_sessions(user=user)
    audit.record(
        action="user.sign_out_everywhere", entity=user, actor=context.user, new={"sessions": count}, at=context.at
    )
    return _("%(count)s session(s) of %(user)s ended.") % {"count": count, "user": user}


def check_authority(user: User, context: ActionContext) -> None:
    """Refuse actions on oneself, and on colleagues unless one assigns roles."""
    if user.pk == context.user.pk:
        raise ActionError(_("You cannot do this to your own account."))
    if not has_authority_over(user, context.user):
        raise ActionError(_("Only a superadmin can do this to a member of staff."))


def has_authority_over(user: User, actor: Any) -> bool:
    """Whether the actor may change this user: superusers only by superusers, staff only by those who assign roles."""
    if user.is_superuser:
        return bool(actor.is_superuser)
    return not user.is_staff or permissions.can_assign_staff_roles(actor)


class MembershipOfUserInline(MembershipInline):
    """The organizations of a user."""

    fk_name = "user"
    columns = ("organization", "role", "created_at")


@admin.register(SshKey)
class SshKeyAdmin(ReadOnlyAdmin):
    """Public keys of users. Only they add and remove them."""

    list_display = ("name", "user", "fingerprint", "created_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__email", "=fingerprint")


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """A user's details, never their password: that is reset by email."""

    editable = (*PROFILE, *ROLE_FIELDS)
    list_display = ("email", "first_name", "last_name", "status", "is_staff", "created_at", "last_login")
    list_filter = ("status", "is_staff", "groups")
    search_fields = ("email", "first_name", "last_name", "username")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (MembershipOfUserInline,)
    sections = (
        (None, ("email", "username", "status", *PROFILE)),
        (gettext_lazy("Staff"), ("is_staff", "is_superuser", "groups")),
        (gettext_lazy("Record"), ("id", "preferences", "last_login", "created_at", "updated_at")),
    )
    staff_actions = (
        StaffAction(
            name="suspend",
            label=gettext_lazy("Suspend"),
            run=suspend,
            permissions=("accounts.change_user",),
            form=ReasonForm,
            description=gettext_lazy("Every session ends now and the user cannot sign in. Their servers keep running."),
            is_available=lambda user: user.status in {UserStatus.ACTIVE, UserStatus.PENDING_VERIFICATION},
            icon="block",
            is_destructive=True,
        ),
        StaffAction(
            name="reactivate",
            label=gettext_lazy("Reactivate"),
            run=reactivate,
            permissions=("accounts.change_user",),
            form=ReasonForm,
            description=gettext_lazy("The user can sign in again. Sessions that ended stay ended."),
            is_available=lambda user: user.status == UserStatus.SUSPENDED,
            icon="lock_open",
        ),
        StaffAction(
            name="sign_out",
            label=gettext_lazy("Sign out everywhere"),
            run=sign_out,
            permissions=("accounts.change_user",),
            description=gettext_lazy("Every session of this user ends now. They can sign in again."),
            icon="logout",
        ),
    )

    def get_editable(self, request: HttpRequest, obj: Any) -> tuple[str, ...]:
        """Roles are edited by superadmins only, and never one's own."""
        can_assign = permissions.can_assign_staff_roles(request.user) and obj is not None and obj.pk != request.user.pk  # type: ignore[arg-type]
        return self.editable if can_assign else PROFILE

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only users that one has authority over."""
        return (obj is None or has_authority_over(obj, request.user)) and super().has_change_permission(request, obj)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The groups to choose from are the staff roles."""
        if db_field.name == "groups":
            kwargs["queryset"] = Group.objects.filter(name__in=permissions.STAFF_ROLES)
        found: ModelMultipleChoiceField[Any] | None = super().formfield_for_manytomany(db_field, request, **kwargs)
        return found

    def save_related(self, request: HttpRequest, form: ModelForm[Any], formsets: Any, change: Any) -> None:
        """A user whose roles changed must sign in again."""
        super().save_related(request, form, formsets, change)
        if set(form.changed_data) & set(ROLE_FIELDS):
            services.end_sessions(user=form.instance)
