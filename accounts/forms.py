"""Forms about the user."""

import zoneinfo
from typing import Any

from allauth.account.forms import ResetPasswordForm as AllauthResetPasswordForm
from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.account.models import EmailAddress
from django import forms
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class SignupForm(AllauthSignupForm):  # type: ignore[misc]
    """Signing up takes as long for an address that has an account as for a new one."""

    def try_save(self, request: HttpRequest) -> Any:
        """Save the user; where the address has an account, hash the password for nothing, as that takes the time."""
        if self.account_already_exists:
            make_password(self.cleaned_data["password1"])
        return super().try_save(request)


class ResetPasswordForm(AllauthResetPasswordForm):  # type: ignore[misc]
    """Asks for a reset link, which goes only to an address that is its user's own."""

    users: list[User]

    def clean_email(self) -> str:
        """Leave out users who added the address but never confirmed it: it may be anybody's."""
        email: str = super().clean_email()
        confirmed = EmailAddress.objects.filter(email=email.lower(), verified=True).values_list("user", flat=True)
        owners = {*confirmed}
        self.users = [user for user in self.users if user.pk in owners or user.email.lower() == email.lower()]
        return email


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """What users may change about themselves."""

    timezone = forms.ChoiceField(label=_("Time zone"))
    locale = forms.ChoiceField(label=_("Language"))

    class Meta:
        model = User
        fields = ["first_name", "last_name", "phone", "timezone", "locale"]
        widgets = {
            "first_name": forms.TextInput(attrs={"autocomplete": "given-name"}),
            "last_name": forms.TextInput(attrs={"autocomplete": "family-name"}),
            "phone": forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(zoneinfo.available_timezones())
        self.fields["timezone"].choices = [(zone, zone.replace("_", " ")) for zone in zones]  # type: ignore[attr-defined]
        self.fields["locale"].choices = settings.LANGUAGES  # type: ignore[attr-defined]
