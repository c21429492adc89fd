"""Forms about servers."""

import re
import unicodedata

from django import forms
from django.utils.translation import gettext_lazy as _

from servers.drivers.base import PowerAction

NAME_TOO_SHORT = _("Enter at least 2 characters.")
NAME = re.compile(r"[\w][\w .\-']*", re.UNICODE)


def clean_server_name(text: str) -> str:
    """A readable name: no control characters and no invisible direction marks. Raises ValidationError."""
    name = unicodedata.normalize("NFC", text).strip()
    if not NAME.fullmatch(name):
        raise forms.ValidationError(
            _("Use only letters, digits, spaces, periods, hyphens and apostrophes, and begin with a letter or digit.")
        )
    return name


class RenameForm(forms.Form):
    """A server's name."""

    name = forms.CharField(
        label=_("Server name"),
        min_length=2,
        max_length=64,
        error_messages={"min_length": NAME_TOO_SHORT},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_name(self) -> str:
        """See `clean_server_name`."""
        return clean_server_name(self.cleaned_data["name"])


class PowerForm(forms.Form):
    """A power action."""

    action = forms.ChoiceField(choices=[(action.value, action.value) for action in PowerAction])
