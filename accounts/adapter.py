"""allauth's hooks: what signing up means here."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from accounts import services
from accounts.models import User


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up gives every person an organization; suspended people are told so."""

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        """Store the new person, with their personal organization, in the request's transaction."""
        saved: User = super().save_user(request, user, form, commit)
        services.give_personal_organization(user=saved)
        return saved
