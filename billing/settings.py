"""billing's settings, which operators edit."""

from typing import Any

from babel import Locale
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from billing.charge_sync import parse_days
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
        raise ValidationError(_("Enter the code of a country, such as DE."))


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
        description=_("The code of the shop's country, such as DE. Customers without an address are taxed as there."),
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


def validate_days(value: Any) -> None:
    """ValidationError unless the value lists rising numbers of days."""
    try:
        parse_days(value)
    except ValueError:
        raise ValidationError(_("Days must be whole numbers that rise, such as 1, 3, 7.")) from None


site_settings.register(
    Definition(
        key="billing.charge_retry_days",
        type=SettingType.STRING,
        default="1, 3, 7",
        category=_("Billing"),
        description=_(
            "Days after the first charge on which a refused card is charged again. Empty: never. A card that is "
            "expired or reported stolen is not charged again in any case."
        ),
        max=80,
        validator=validate_days,
    )
)
site_settings.register(
    Definition(
        key="billing.charge_confirmation_days",
        type=SettingType.INTEGER,
        default=7,
        category=_("Billing"),
        description=_("Days for which a customer can confirm a charge for which their bank asks them."),
        min=1,
        max=30,
    )
)

site_settings.register(
    Definition(
        key="billing.transfer_days",
        type=SettingType.INTEGER,
        default=7,
        category=_("Billing"),
        description=_("Days in which a bank transfer has to arrive. What it is for stays reserved as long."),
        min=1,
        max=30,
    )
)
