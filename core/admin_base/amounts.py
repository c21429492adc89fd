"""Amounts as staff type them: what cannot be paid or shown exactly is refused at the field, with the reason."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from core.money import Money, Rate, TooFine, payable_step


def clean_amount(text: str, currency: str) -> Money:
    """The amount that was typed. Raises ValidationError."""
    step = payable_step(currency)
    try:
        amount = Money.parse(text.strip(), currency)
        if amount.minor % step.minor:
            raise TooFine(text)
    except TooFine:
        raise ValidationError(
            _("Too many decimals: amounts of %(currency)s go in steps of %(step)s.")
            % {"currency": currency, "step": step}
        ) from None
    except ValueError:
        raise ValidationError(_("This is not an amount of %(currency)s.") % {"currency": currency}) from None
    return amount


def clean_rate(text: str, currency: str) -> Rate:
    """The price of a unit that was typed, which may be finer than any amount. Raises ValidationError."""
    try:
        return Rate.parse(text.strip(), currency)
    except TooFine:
        raise ValidationError(_("Too many decimals for a rate of %(currency)s.") % {"currency": currency}) from None
    except ValueError:
        raise ValidationError(_("This is not a rate of %(currency)s.") % {"currency": currency}) from None
