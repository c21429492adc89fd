"""Forms in which staff type amounts as they read them, with their currency beside them."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from core import site_settings
from core.admin_base import clean_amount
from core.money import Money


class AmountsForm(forms.ModelForm):  # type: ignore[type-arg]
    """Each of `amount_names` is typed as a decimal in the currency of `currency_name`, and stored in minor units.

    Without any amount there is no currency either.
    """

    amount_names: ClassVar[tuple[str, ...]] = ()
    currency_name: ClassVar[str] = "currency"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self.amount_names:
            if name not in self.fields:  # where the user may only read
                continue
            minor = getattr(self.instance, name)
            if minor is not None:
                self.initial[name] = str(Money(minor, getattr(self.instance, self.currency_name)).amount)
            self.fields[name] = forms.CharField(
                label=self.fields[name].label,
                help_text=self.fields[name].help_text or _("Such as 4.50"),
                max_length=20,
                required=False,
                widget=UnfoldAdminTextInputWidget,
            )

    def validate_constraints(self) -> None:
        """Only where every field is right: else what is missing is said twice."""
        if not self.errors:
            super().validate_constraints()

    def clean(self) -> dict[str, Any]:
        """The amounts in minor units."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        names = [name for name in self.amount_names if name in self.fields]
        if not names:
            return cleaned
        currency = (cleaned.get(self.currency_name) or "").strip().upper()
        try:
            if any(cleaned.get(name) for name in names):
                site_settings.validate_currency(currency)
            else:
                currency = ""
        except ValidationError as error:
            self.add_error(self.currency_name, error)
            return cleaned | dict.fromkeys(names)
        for name in names:
            text = cleaned.get(name)
            try:
                cleaned[name] = clean_amount(text, currency).minor if text else None
            except ValidationError as error:
                self.add_error(name, error)
        cleaned[self.currency_name] = currency
        return cleaned
