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

# One for most offsets: the browser's script offers the rest, and any name of the tz database may be typed.
OFFERED_TIME_ZONES = (
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Dhaka",
    "Asia/Jakarta",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "America/Sao_Paulo",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Anchorage",
    "Pacific/Honolulu",
)


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

    timezone = forms.CharField(
        label=_("Time zone"),
        max_length=64,
        help_text=_("Region and city, such as Europe/Berlin. With UTC, pages use the time zone of your device."),
        widget=forms.TextInput(attrs={"list": "timezones", "autocomplete": "off", "spellcheck": "false"}),
    )
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
        self.fields["locale"].choices = settings.LANGUAGES  # type: ignore[attr-defined]

    def clean_timezone(self) -> str:
        """The zone's name as the tz database writes it; its case does not matter, nor a space for "_"."""
        typed = self.cleaned_data["timezone"].strip().replace(" ", "_").lower()
        name = next((zone for zone in zoneinfo.available_timezones() if zone.lower() == typed), None)
        if name is None:
            raise forms.ValidationError(_("We do not know this time zone. Write it as region and city: Europe/Berlin."))
        return name
