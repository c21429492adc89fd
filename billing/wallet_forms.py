"""The form of a top-up."""

from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import top_ups
from core.admin_base.amounts import clean_amount
from core.money import Money


class TopUpForm(forms.Form):
    """An amount that is offered, or another one within the bounds. `form_token` makes a doubled submit one payment."""

    offered = forms.ChoiceField(label=gettext_lazy("Amount"), required=False, widget=forms.RadioSelect)
    other = forms.CharField(
        label=gettext_lazy("Another amount"),
        max_length=20,
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    form_token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    def __init__(self, *args: Any, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = currency
        amounts = top_ups.amounts_for(currency)
        self.fields["offered"].choices = [(str(amount.minor), str(amount)) for amount in amounts]  # type: ignore[attr-defined]
        self.fields["offered"].initial = str(amounts[1].minor)
        least, most = top_ups.bounds_of(currency)
        bounds = {"least": least, "most": most}
        self.fields["other"].help_text = _("From %(least)s to %(most)s.") % bounds

    def clean_other(self) -> Money | None:
        """The amount that was typed, within the bounds; None where nothing was."""
        if not (text := self.cleaned_data["other"].strip()):
            return None
        amount = clean_amount(text, self.currency)
        least, most = top_ups.bounds_of(self.currency)
        if not least <= amount <= most:
            raise forms.ValidationError(
                _("Choose an amount from %(least)s to %(most)s.") % {"least": least, "most": most}
            )
        return amount

    def clean(self) -> dict[str, Any]:
        """`amount` is what was typed, else what was chosen."""
        data: dict[str, Any] = super().clean() or {}
        chosen = data.get("offered")
        data["amount"] = data.get("other") or (Money(int(chosen), self.currency) if chosen else None)
        if data["amount"] is None and not self.errors:
            self.add_error("offered", _("Choose an amount."))
        return data
