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

from accounts import countries, ssh_keys, vat
from accounts.models import BILLING_FIELDS, Organization, User
from core import formats
from core.text import validate_visible

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


class BillingAddressForm(forms.ModelForm):  # type: ignore[type-arg]
    """Who is billed, and where: as the next invoices name it."""

    country = forms.ChoiceField(
        label=_("Country"), error_messages={"required": _("Choose a country: your tax depends on it.")}
    )

    class Meta:
        model = Organization
        fields = BILLING_FIELDS
        labels = {"billing_name": _("Name or company"), "region": _("State or province"), "tax_id": _("VAT or tax ID")}
        help_texts = {
            "billing_email": _("Where we send receipts and reminders."),
            "region": _("Where your country's tax depends on it, as in the United States and Canada."),
            "tax_id": _("Only for businesses. With a valid VAT ID of another EU country you owe the VAT yourself."),
        }
        widgets = {
            "billing_name": forms.TextInput(attrs={"autocomplete": "billing organization"}),
            "billing_email": forms.EmailInput(attrs={"autocomplete": "billing email"}),
            "address_line": forms.TextInput(attrs={"autocomplete": "billing street-address"}),
            "postal_code": forms.TextInput(attrs={"autocomplete": "billing postal-code"}),
            "city": forms.TextInput(attrs={"autocomplete": "billing address-level2"}),
            "region": forms.TextInput(attrs={"autocomplete": "billing address-level1"}),
            "tax_id": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", _("Choose a country")), *countries.choices()]
        self.fields["country"].choices = choices  # type: ignore[attr-defined]
        self.fields["country"].widget.attrs["autocomplete"] = "billing country"
        for name in ("billing_name", "billing_email", "address_line", "city"):
            self.fields[name].required = True

    def clean(self) -> dict[str, Any]:
        """Refuse what looks like a VAT ID of an EU country and is none: no tax would be saved by it."""
        cleaned = super().clean() or self.cleaned_data
        country, tax_id = cleaned.get("country", ""), cleaned.get("tax_id", "")
        if tax_id and country in vat.EU and not vat.vat_id(tax_id, country):
            text = _(
                "This is not a valid VAT ID of %(country)s. Check it for a typing error, or leave the field empty if "
                "you do not buy as a business."
            )
            self.add_error("tax_id", text % {"country": formats.country(country)})
        return cleaned


class SshKeyForm(forms.Form):
    """A public key to keep. What was pasted and is none is not shown again: it may be a private key."""

    name = forms.CharField(
        label=_("Name"),
        max_length=64,
        required=False,
        validators=[validate_visible],
        help_text=_("Such as the name of your computer. Empty: what the key says itself."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    public_key = forms.CharField(
        label=_("Public key"),
        max_length=6000,
        help_text=_("One line from a file that ends in .pub, such as ~/.ssh/id_ed25519.pub."),
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_public_key(self) -> ssh_keys.PublicKey:
        """The key. Raises ValidationError."""
        try:
            return ssh_keys.parse(self.cleaned_data["public_key"])
        except ssh_keys.KeyRefused as error:
            self.data = {**self.data.dict(), "public_key": ""}  # type: ignore[attr-defined]
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any]:
        """Name it by its comment where no name was entered."""
        cleaned = super().clean() or self.cleaned_data
        if "public_key" in cleaned and not cleaned.get("name"):
            key = cleaned["public_key"]
            visible = "".join(each for each in key.comment if each.isprintable())
            cleaned["name"] = visible[:64] or key.text.partition(" ")[0]
        return cleaned
