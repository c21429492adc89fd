"""The operator's choices about orders."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.site_settings import Definition, SettingType


def _register(key: str, description: Any, *, default: int, least: int, most: int) -> None:
    site_settings.register(
        Definition(
            key=key,
            type=SettingType.INTEGER,
            default=default,
            category=_("Orders"),
            description=description,
            min=least,
            max=most,
        )
    )


# Stripe's page lives 30 minutes at least, so that is the shortest an offer to pay can stand.
_register("orders.hold_minutes", _("Minutes that an unpaid order keeps its place."), default=45, least=31, most=1380)
_register(
    "orders.waiting_refund_hours",
    _("Hours after which a paid order without room is refunded."),
    default=24,
    least=1,
    most=720,
)
_register(
    "orders.failed_refund_hours",
    _("Hours after which an order whose server could not be made is refunded."),
    default=72,
    least=1,
    most=720,
)
