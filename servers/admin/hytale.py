"""Accounts that own Hytale: staff sign them in here and choose a profile. Tokens are never shown."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget

from core import formats
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, ReadOnlyInline, StaffAction, WorkItemAdmin
from core.admin_base.actions import ActionForm
from core.admin_base.columns import EMPTY
from core.models import WorkState
from servers.hytale import client, sign_in, tokens
from servers.models import HytaleAccount, HytaleSession, HytaleSignIn


class ProfileForm(ActionForm):
    """Which of the profiles that Hytale listed."""

    profile = forms.ChoiceField(label=gettext_lazy("Profile"), widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, row: HytaleAccount, **kwargs: Any) -> None:
        super().__init__(*args, row=row, **kwargs)
        listed = [(each["uuid"], f"{each['username']} ({each['uuid']})") for each in row.profiles]
        self.fields["profile"].choices = listed
        self.fields["profile"].initial = row.profile


def begin_sign_in(account: HytaleAccount, context: ActionContext) -> str:
    """Have a worker get a code."""
    sign_in.request_sign_in(account=account, actor=context.user, at=context.at)
    return _("The code appears below in a moment. Enter it on Hytale's page, signed in as the account's owner.")


def choose_profile(account: HytaleAccount, context: ActionContext) -> str:
    """With which the servers run from their next start on."""
    try:
        sign_in.choose_profile(account=account, profile=context.data["profile"], actor=context.user, at=context.at)
    except ValueError:
        raise ActionError(_("The account does not have this profile any more."), field="profile") from None
    return _("Servers run with this profile from their next start on.")


class SignInInline(ReadOnlyInline):
    """Its latest sign-ins."""

    model = HytaleSignIn
    columns = ("requested_at", "requested_by", "outcome", "problem")
    related = ("requested_by",)
    ordering = ("-requested_at",)
    per_page = 5


class SessionInline(ReadOnlyInline):
    """Its latest sessions."""

    model = HytaleSession
    columns = ("server", "status", "requested_at", "slot_until", "ended_at")
    related = ("server",)
    ordering = ("-requested_at",)
    per_page = 20


@admin.register(HytaleAccount)
class HytaleAccountAdmin(ReadOnlyAdmin):
    """An account, whether somebody is signed in with it, and how many of its sessions are taken."""

    change_form_template = "admin/hytale_account.html"
    editable = ("name", "is_active", "slots")
    addable = editable
    list_display = ("name", "state", "is_active", "profile_name", "sessions_taken", "ends_at", "problem")
    list_filter = ("state", "is_active")
    search_fields = ("name",)
    ordering = ("name",)
    inlines = (SessionInline, SignInInline)
    sections = (
        (None, ("name", "state", "problem", "sign_in_code")),
        (gettext_lazy("Servers"), ("is_active", "slots", "sessions_taken", "profile_name", "full_until")),
        (
            gettext_lazy("Sign-in"),
            (
                *("refresh_token", "refreshed_at", "ends_at", "access_token", "access_until"),
                *("unanswered_refreshes", "created_at", "updated_at"),
            ),
        ),
    )
    staff_actions = (
        StaffAction(
            name="sign_in",
            label=gettext_lazy("Sign in"),
            run=begin_sign_in,
            permissions=("servers.change_hytaleaccount",),
            description=gettext_lazy(
                "A worker gets a code from Hytale. You enter it on Hytale's page, and the account is signed in. "
                "Servers that run are not affected."
            ),
            icon="login",
        ),
        StaffAction(
            name="choose_profile",
            label=gettext_lazy("Choose the profile"),
            run=choose_profile,
            permissions=("servers.change_hytaleaccount",),
            form=ProfileForm,
            description=gettext_lazy("Servers run with it. Without one, no server starts with this account."),
            is_available=lambda account: bool(account.profiles),
            icon="badge",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[HytaleAccount]:
        """With the number of sessions that take a slot."""
        rows: QuerySet[HytaleAccount] = super().get_queryset(request)
        return rows.annotate(taken=Count("sessions", filter=Q(sessions__ended_at=None)))

    @admin.display(description=gettext_lazy("profile"))
    def profile_name(self, account: HytaleAccount) -> str:
        """The chosen profile."""
        return account.profile_name or _("not chosen")

    @admin.display(description=gettext_lazy("sessions"), ordering="taken")
    def sessions_taken(self, account: Any) -> str:
        """Of how many."""
        return f"{formats.number(account.taken)} / {formats.number(account.slots)}"

    @admin.display(description=gettext_lazy("signed in until"))
    def ends_at(self, account: HytaleAccount) -> str:
        """When the sign-in ends, unless it is renewed before."""
        ends_at = tokens.ends_at(account)
        return formats.instant(ends_at) if ends_at else EMPTY

    @admin.display(description=gettext_lazy("code"))
    def sign_in_code(self, account: HytaleAccount) -> SafeString | str:
        """The code of a sign-in that is under way, and where to enter it."""
        row = account.sign_ins.filter(outcome="").first()
        if row is None:
            return EMPTY
        if row.state == WorkState.DEAD:
            return row.last_error
        if not row.user_code or not client.is_trusted_address(row.address):
            return _("A worker is getting it.")
        text = _("Enter {code} on {link} until {time}.")
        link = format_html('<a class="text-link" href="{0}" target="_blank" rel="noreferrer">{0}</a>', row.address)
        code = format_html('<strong class="font-mono">{}</strong>', row.user_code)
        until = formats.instant(row.expires_at) if row.expires_at else ""
        return format_html(text, code=code, link=link, time=until)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, obj: Any = None, **kwargs: Any) -> Any:
        """The page renews itself while somebody enters a code."""
        context["is_waiting"] = obj and obj.sign_ins.filter(outcome="").exclude(state=WorkState.DEAD).exists()
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)


@admin.register(HytaleSignIn)
class HytaleSignInAdmin(WorkItemAdmin):
    """How accounts were signed in."""

    list_display = ("account", "requested_by", "requested_at", "state", "outcome", "problem", "last_error")
    list_filter = ("outcome", "state")
    list_select_related = ("account", "requested_by")
    search_fields = ("account__name",)


@admin.register(HytaleSession)
class HytaleSessionAdmin(WorkItemAdmin):
    """The game sessions that servers were started with."""

    list_display = ("server", "account", "status", "requested_at", "slot_until", "ended_at", "state", "last_error")
    list_filter: ClassVar[Any] = ("status", "account", "state")
    list_select_related = ("server", "account")
    search_fields = ("server__name", "=server__id")
