"""allauth's hooks: what signing up means here."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts import services
from accounts.models import User


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up gives every person an organization; suspended people are told so."""

    def clean_email(self, email: str) -> str:
        """Refuse an address that the column would not hold: allauth would store the beginning of it."""
        longest = User._meta.get_field("email").max_length or 0
        if len(email) > longest:
            raise ValidationError(_("An e-mail address can have at most %(most)s characters.") % {"most": longest})
        cleaned: str = super().clean_email(email)
        return cleaned

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        """Store the new person, with their personal organization, in the request's transaction."""
        saved: User = super().save_user(request, user, form, commit)
        services.give_personal_organization(user=saved)
        return saved
