"""allauth's hooks: what signing up means here."""

from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.utils import filter_users_by_email, get_next_redirect_url
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from accounts import services
from accounts.models import User
from accounts.services import DESTINATION

MAX_DESTINATION_LENGTH = 2_000


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up creates the user's personal organization. Errors are in the shop's words."""

    error_messages: ClassVar[dict[str, Any]] = DefaultAccountAdapter.error_messages | {
        "account_inactive": _lazy("This account is suspended. Please write to us."),
        "cannot_remove_primary_email": _lazy("This is your primary address. Make another one primary first."),
        "duplicate_email": _lazy("This address already belongs to your account."),
        "email_password_mismatch": _lazy(
            "This email address and password do not belong together. Check both, or reset your password."
        ),
        "email_taken": _lazy("There is already an account with this email address. Sign in instead."),
        "enter_current_password": _lazy("Enter your current password."),
        "incorrect_code": _lazy("This code is wrong. Check it, or ask for a new one."),
        "incorrect_password": _lazy("This password is wrong."),
        "invalid_or_expired_key": _lazy("This link is no longer valid. Ask for a new one."),
        "invalid_password_reset": _lazy("This link is no longer valid. Ask for a new one."),
        "rate_limited": _lazy("That was too often in a short time. Wait a few minutes and try again."),
        "too_many_login_attempts": _lazy("Too many failed attempts. Wait a few minutes and try again."),
        "unverified_primary_email": _lazy("Confirm your primary address first."),
    }

    def clean_email(self, email: str) -> str:
        """Refuse an address longer than the column: allauth would cut it off."""
        max_length = User._meta.get_field("email").max_length or 0
        if len(email) > max_length:
            raise ValidationError(_("An email address can have at most %(most)s characters.") % {"most": max_length})
        cleaned: str = super().clean_email(email)
        return cleaned

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send, with links to SITE_URL: the host and port of a request are what its sender wrote there."""
        links = {
            name: settings.SITE_URL + urlsplit(value)._replace(scheme="", netloc="").geturl()
            for name, value in context.items()
            if name.endswith("_url")
        }
        super().send_mail(template_prefix, email, context | links)

    def render_mail(self, template_prefix: str, email: str, context: dict[str, Any], **options: Any) -> EmailMessage:
        """The message, with the user and the event that its delivery is filed under."""
        message: Any = super().render_mail(template_prefix, email, context, **options)
        user = context.get("user") or next(iter(filter_users_by_email(email)), None)
        message.user, message.event = user, f"account.{template_prefix.rpartition('/')[2]}"
        return cast("EmailMessage", message)

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        """Store the new user with a personal organization, in the request's transaction."""
        # The order that led here is kept with the account: its e-mail may be confirmed on another device.
        destination = get_next_redirect_url(request)
        if destination and len(destination) <= MAX_DESTINATION_LENGTH:
            user.preferences = user.preferences | {DESTINATION: destination}
        saved: User = super().save_user(request, user, form, commit)
        services.ensure_personal_organization(user=saved)
        return saved

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Once to where the user was going when they signed up, afterwards to the dashboard."""
        destination = services.take_destination(user=cast("User", request.user))
        if destination and self.is_safe_url(destination):
            return destination
        home: str = super().get_login_redirect_url(request)
        return home
