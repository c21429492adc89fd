"""The form that cancels a subscription."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.models import CancellationReason


class CancelForm(forms.Form):
    """Why the customer cancels: one of a list, and their own words if they want."""

    reason = forms.ChoiceField(
        label=_("Why are you canceling?"),
        choices=CancellationReason.choices,
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose the reason that fits best.")},
    )
    comment = forms.CharField(
        label=_("What could we have done better?"),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def clean_comment(self) -> Any:
        """The text without the line ends that browsers add."""
        return self.cleaned_data["comment"].replace("\r\n", "\n").strip()
