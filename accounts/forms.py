"""Forms about the user."""

import zoneinfo
from typing import Any

from django import forms
from django.conf import settings
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
