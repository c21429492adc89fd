"""The forms that cancel and pause a subscription."""

from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from billing.models import CancellationReason
from core import formats


class DayInput(forms.DateInput):
    """A day, chosen by the browser's own means."""

    input_type = "date"


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


class PauseForm(forms.Form):
    """Until when a subscription pauses: a day between two."""

    until = forms.DateField(
        label=_("Pause until"),
        widget=DayInput(format="%Y-%m-%d"),
        error_messages={"required": _("Choose the day on which it goes on.")},
    )

    def __init__(self, *args: Any, days: tuple[date, date], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.first, self.last = days
        self.fields["until"].widget.attrs |= {"min": self.first.isoformat(), "max": self.last.isoformat()}
        self.fields["until"].help_text = _now("From %(first)s to %(last)s.") % {
            "first": formats.day(self.first),
            "last": formats.day(self.last),
        }

    def clean_until(self) -> Any:
        """Refuse a day of the paid period, or after the longest pause."""
        until = self.cleaned_data["until"]
        if until < self.first:
            raise forms.ValidationError(
                _now("Choose %(first)s or later: until then the server is paid for.")
                % {"first": formats.day(self.first)}
            )
        if until > self.last:
            raise forms.ValidationError(
                _now("Choose %(last)s or earlier: a pause lasts no longer.") % {"last": formats.day(self.last)}
            )
        return until
