"""Site settings about affiliates."""

from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.money import CODE, DECIMAL
from core.site_settings import Definition, SettingType

CATEGORY = _("Affiliates")


def parse_rates(text: str) -> dict[tuple[str, str], Decimal]:
    """What one unit of a currency is in another: "EUR/USD 1.08, GBP/USD 1.27". Raises ValueError."""
    rates = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        pair, _space, number = entry.partition(" ")
        source, _slash, target = pair.partition("/")
        if not (CODE.fullmatch(source) and CODE.fullmatch(target)) or source == target or not DECIMAL.fullmatch(number):
            raise ValueError(_("%(entry)s is not a rate such as EUR/USD 1.08.") % {"entry": entry})
        if (source, target) in rates or not (rate := Decimal(number)):
            raise ValueError(_("%(entry)s is zero, or written twice.") % {"entry": entry})
        rates[source, target] = rate
    return rates


def validate_rates(value: Any) -> None:
    """ValidationError unless the value is a list of exchange rates."""
    try:
        parse_rates(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def exchange_rates() -> dict[tuple[str, str], Decimal]:
    """The rates at which commission is paid out in another currency than it was earned in."""
    return parse_rates(site_settings.get("affiliates.exchange_rates"))


site_settings.register(
    Definition(
        key="affiliates.exchange_rates",
        type=SettingType.STRING,
        default="",
        category=CATEGORY,
        description=_(
            "Exchange rates for paying out commission that was earned in another currency than the affiliate buys in, "
            "such as EUR/USD 1.08, GBP/USD 1.27. Without a rate it waits."
        ),
        max=500,
        validator=validate_rates,
    )
)
site_settings.register(
    Definition(
        key="affiliates.are_enabled",
        type=SettingType.BOOLEAN,
        default=False,
        category=CATEGORY,
        description=_("Let customers earn commission for new customers who follow their link."),
        is_public=True,
    )
)
site_settings.register(
    Definition(
        key="affiliates.percent",
        type=SettingType.DECIMAL,
        default=Decimal(20),
        category=CATEGORY,
        description=_("Percent of a new customer's first order, without tax, that the affiliate earns."),
        min=Decimal("0.0001"),
        max=100,
    )
)
for _name, _default, _max, _description in (
    ("hold_days", 30, 365, _("Days that a commission is on hold. A refund or a lost dispute meanwhile reverses it.")),
    ("cookie_days", 30, 365, _("Days after following a link in which a first order still counts for the affiliate.")),
):
    site_settings.register(
        Definition(
            key=f"affiliates.{_name}",
            type=SettingType.INTEGER,
            default=_default,
            category=CATEGORY,
            description=_description,
            min=0 if _name == "hold_days" else 1,
            max=_max,
        )
    )
