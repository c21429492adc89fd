"""billing's settings, which operators edit."""

from typing import Any

from babel import Locale
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.site_settings import Definition, SettingType

site_settings.register(
    Definition(
        key="billing.gateway_renews",
        type=SettingType.BOOLEAN,
        default=False,
        category=_("Billing"),
        description=_("Let the payment gateway renew subscriptions whose prices it knows (see Gateway prices)."),
    )
)


def validate_country(value: Any) -> None:
    """ValidationError unless the value is a country's ISO code."""
    if len(value) != 2 or not value.isalpha() or value not in Locale("en").territories:
        raise ValidationError(_("A country is two capital letters, such as DE."))


for definition in (
    Definition(
        key="tax.status",
        type=SettingType.CHOICE,
        default="none",
        choices=("none", "small_business", "registered"),
        category=_("Tax"),
        description=_(
            "Whether the shop is registered for tax. With none, documents say nothing about tax. "
            "Enter your tax rates before you set it to registered: a country without a rate is not taxed."
        ),
    ),
    Definition(
        key="tax.country",
        type=SettingType.STRING,
        default="",
        category=_("Tax"),
        description=_("The shop's country, as two letters. Customers without an address are taxed as there."),
        validator=validate_country,
    ),
    Definition(
        key="tax.prices",
        type=SettingType.CHOICE,
        default="exclusive",
        choices=("exclusive", "inclusive"),
        category=_("Tax"),
        description=_(
            "Whether prices include tax. Choose it before the first sale: running subscriptions are renewed by it too."
        ),
    ),
):
    site_settings.register(definition)
