"""Site settings about orders."""

from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.site_settings import Definition, SettingType

CATEGORY = _("Orders")

site_settings.register(
    Definition(
        key="orders.reservation_minutes",
        type=SettingType.INTEGER,
        default=45,
        category=CATEGORY,
        description=_("Minutes until an unpaid order is canceled and its capacity released."),
        min=31,  # Stripe's checkout sessions live 30 minutes at least
        max=1380,
    )
)
site_settings.register(
    Definition(
        key="orders.waiting_refund_hours",
        type=SettingType.INTEGER,
        default=24,
        category=CATEGORY,
        description=_("Hours after which a paid order that waits for capacity is refunded."),
        min=1,
        max=720,
    )
)
site_settings.register(
    Definition(
        key="orders.failed_refund_hours",
        type=SettingType.INTEGER,
        default=72,
        category=CATEGORY,
        description=_("Hours after which an order whose server could not be created is refunded."),
        min=1,
        max=720,
    )
)
site_settings.register(
    Definition(
        key="orders.bank_debit_days",
        type=SettingType.INTEGER,
        default=5,
        category=CATEGORY,
        description=_("Working days that a bank debit takes at most, as the order's page says."),
        min=1,
        max=30,
    )
)
