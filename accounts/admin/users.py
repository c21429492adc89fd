"""People. Roles are given by superadmins only; nobody else may touch a colleague's row."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.forms import ModelForm
from django.forms.models import ModelMultipleChoiceField
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import roles, services
from accounts.admin.organizations import MembershipInline
from accounts.models import User, UserStatus
from core import audit
from core.staff import Act, Deed, ReasonForm, Record, Refused

PROFILE = services.PROFILE_FIELDS
ROLE_FIELDS = ("is_staff", "groups")


def suspend(user: User, act: Act) -> str:
    """Shut the person out at once."""
    _require_authority(user, act)
    if not services.suspend_user(user=user, reason=act.chosen["reason"], actor=act.user, at=act.at):
        raise Refused(_("They are shut out already."))
    return _("%(user)s is suspended and signed out everywhere.") % {"user": user}


def reactivate(user: User, act: Act) -> str:
    """Let the person in again."""
    _require_authority(user, act)
    if not services.reactivate_user(user=user, reason=act.chosen["reason"], actor=act.user, at=act.at):
        raise Refused(_("They are not suspended."))
    return _("%(user)s may sign in again.") % {"user": user}


def sign_out(user: User, act: Act) -> str:
    """End every session of the person."""
    _require_authority(user, act)
    count = services.end_sessions(user=user)
    audit.record(action="user.sign_out_everywhere", entity=user, actor=act.user, new={"sessions": count})
    return _("%(count)s session(s) of %(user)s ended.") % {"count": count, "user": user}


def _require_authority(user: User, act: Act) -> None:
    if user.pk == act.user.pk:
        raise Refused(_("Not to yourself."))
    if not _may_touch(act.user, user):
        raise Refused(_("Only a superadmin may do this to a colleague."))


def _may_touch(actor: Any, user: User) -> bool:
    if user.is_superuser:
        return bool(actor.is_superuser)
    return not user.is_staff or roles.can_assign_roles(actor)


class MembershipOfUserInline(MembershipInline):
    """The organizations of a person."""

    fk_name = "user"
    names = ("organization", "role", "created_at")


@admin.register(User)
class UserAdmin(Record):
    """A person's details, never their password: that is reset by e-mail."""

    editable = (*PROFILE, *ROLE_FIELDS)
    list_display = ("email", "first_name", "last_name", "status", "is_staff", "created_at", "last_login")
    list_filter = ("status", "is_staff", "groups")
    search_fields = ("email", "first_name", "last_name", "username")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    filter_horizontal = ("groups",)
    inlines = (MembershipOfUserInline,)
    sections = (
        (None, ("email", "username", "status", *PROFILE)),
        (gettext_lazy("Staff"), ("is_staff", "is_superuser", "groups")),
        (gettext_lazy("Record"), ("id", "preferences", "last_login", "created_at", "updated_at")),
    )
    deeds = (
        Deed(
            name="suspend",
            label=gettext_lazy("Suspend"),
            perform=suspend,
            permissions=("accounts.change_user",),
            form=ReasonForm,
            note=gettext_lazy("They cannot sign in any more, and every session ends now. Their servers run on."),
            suits=lambda user: user.status in {UserStatus.ACTIVE, UserStatus.PENDING_VERIFICATION},
            icon="block",
            is_grave=True,
        ),
        Deed(
            name="reactivate",
            label=gettext_lazy("Reactivate"),
            perform=reactivate,
            permissions=("accounts.change_user",),
            form=ReasonForm,
            suits=lambda user: user.status == UserStatus.SUSPENDED,
            icon="lock_open",
        ),
        Deed(
            name="sign_out",
            label=gettext_lazy("Sign out everywhere"),
            perform=sign_out,
            permissions=("accounts.change_user",),
            icon="logout",
        ),
    )

    def typed(self, request: HttpRequest, row: Any) -> tuple[str, ...]:
        """Roles only for superadmins, and never one's own."""
        may_assign = roles.can_assign_roles(request.user) and row is not None and row.pk != request.user.pk  # type: ignore[arg-type]
        return self.editable if may_assign else PROFILE

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Colleagues' rows only for superadmins, superusers' only for superusers."""
        is_open = obj is None or _may_touch(request.user, obj)
        return is_open and super().has_change_permission(request, obj)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Groups are the four roles."""
        if db_field.name == "groups":
            kwargs["queryset"] = Group.objects.filter(name__in=roles.ROLES)
        found: ModelMultipleChoiceField[Any] | None = super().formfield_for_manytomany(db_field, request, **kwargs)
        return found

    def save_related(self, request: HttpRequest, form: ModelForm[Any], formsets: Any, change: Any) -> None:
        """Someone who is no longer staff, or has new roles, signs in anew."""
        super().save_related(request, form, formsets, change)
        if set(form.changed_data) & set(ROLE_FIELDS):
            services.end_sessions(user=form.instance)
