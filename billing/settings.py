"""billing's settings, which operators edit."""

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
