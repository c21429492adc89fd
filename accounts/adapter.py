"""allauth's hooks: what signing up means here."""

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts import services
from accounts.models import User


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up creates the user's personal organization."""

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

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        """Store the new user with a personal organization, in the request's transaction."""
        saved: User = super().save_user(request, user, form, commit)
        services.ensure_personal_organization(user=saved)
        return saved
