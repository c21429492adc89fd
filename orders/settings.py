"""The operator's choices about orders."""

from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.site_settings import Definition, SettingType

# Stripe's page lives 30 minutes at least, so that is the shortest an offer to pay can stand.
site_settings.register(
    Definition(
        key="orders.hold_minutes",
        type=SettingType.INTEGER,
        default=45,
        category="orders",
        description=_("Minutes that an unpaid order keeps its place."),
        min=31,
        max=1380,
    )
)
site_settings.register(
    Definition(
        key="orders.waiting_refund_hours",
        type=SettingType.INTEGER,
        default=24,
        category="orders",
        description=_("Hours after which a paid order without room is refunded."),
        min=1,
        max=720,
    )
)
site_settings.register(
    Definition(
        key="orders.failed_refund_hours",
        type=SettingType.INTEGER,
        default=72,
        category="orders",
        description=_("Hours after which an order whose server could not be made is refunded."),
        min=1,
        max=720,
    )
)
