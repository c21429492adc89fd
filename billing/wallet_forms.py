"""The forms of the wallet's page: a top-up, and topping up automatically."""

from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Organization
from billing import auto_top_ups, payment_methods, top_ups
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


class AutoTopUpForm(forms.Form):
    """When the saved card is charged, and how much; `below` and `amount` are Money once it is valid."""

    is_active = forms.BooleanField(label=gettext_lazy("Top up automatically"), required=False)
    below = forms.CharField(label=gettext_lazy("When the wallet balance is below"), max_length=20)
    amount = forms.CharField(label=gettext_lazy("Add"), max_length=20)

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        self.saved = auto_top_ups.auto_top_up_of(organization, organization.currency)
        self.method = payment_methods.default_method(organization)
        self.currency = organization.currency
        offered = top_ups.amounts_for(self.currency)
        below, amount = (self.saved.below, self.saved.amount) if self.saved else (offered[0], offered[1])
        kwargs["initial"] = {
            "below": str(below.amount),
            "amount": str(amount.amount),
            "is_active": self.saved is not None and self.saved.is_active,
        }
        super().__init__(*args, **kwargs)
        for name in ("below", "amount"):
            self.fields[name].widget.attrs |= {"inputmode": "decimal", "autocomplete": "off"}
        least, most = top_ups.bounds_of(self.currency)
        self.fields["amount"].help_text = _("From %(least)s to %(most)s.") % {"least": least, "most": most}

    def clean_is_active(self) -> bool:
        """Only with a saved card."""
        is_active = bool(self.cleaned_data["is_active"])
        if is_active and self.method is None:
            raise forms.ValidationError(_("Save a card first: it is charged when your wallet balance is low."))
        return is_active

    def clean_below(self) -> Money:
        """A positive amount."""
        below = clean_amount(self.cleaned_data["below"], self.currency)
        if below.minor <= 0:
            raise forms.ValidationError(_("Enter an amount above zero."))
        return below

    def clean_amount(self) -> Money:
        """As of any top-up, and enough to reach the limit."""
        amount = clean_amount(self.cleaned_data["amount"], self.currency)
        least, most = top_ups.bounds_of(self.currency)
        if not least <= amount <= most:
            raise forms.ValidationError(
                _("Choose an amount from %(least)s to %(most)s.") % {"least": least, "most": most}
            )
        below = self.cleaned_data.get("below")
        if below is not None and amount < below:
            raise forms.ValidationError(_("Add at least %(below)s, so that one charge is enough.") % {"below": below})
        return amount
