"""The operator's choices about money."""

from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.site_settings import Definition, SettingType

site_settings.register(
    Definition(
        key="billing.collected_by_stripe",
        type=SettingType.BOOLEAN,
        default=False,
        category=_("Billing"),
        description=_("Let Stripe renew subscriptions whose prices all have a Stripe price id."),
    )
)
