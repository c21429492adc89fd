"""Site settings about affiliates."""

from decimal import Decimal

from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.site_settings import Definition, SettingType

CATEGORY = _("Affiliates")

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
