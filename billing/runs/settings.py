"""When invoices are issued, reminded of, and given up: settings that operators edit."""

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from core import site_settings
from core.site_settings import Definition, SettingType

CATEGORY = _("Billing")
MAX_STAGES = 12


def stages_of(text: str) -> list[int]:
    """The days after the due date that a setting lists, in order. Raises ValueError."""
    return sorted({int(part) for part in text.split(",")})


def validate_hours(value: Any) -> None:
    """ValidationError unless the value lists hours as `stages_of` reads them."""
    try:
        stages = stages_of(value)
    except ValueError:
        raise ValidationError(_("List whole hours, separated by commas, such as 72, 24, 6.")) from None
    if len(stages) > MAX_STAGES or not all(1 <= stage <= 1000 for stage in stages):
        raise ValidationError(_("List at most 12 numbers of hours, each between 1 and 1000."))


def validate_stages(value: Any) -> None:
    """ValidationError unless the value lists days as `stages_of` reads them."""
    try:
        stages = stages_of(value)
    except ValueError:
        raise ValidationError(_("List whole days, separated by commas, such as -3, 1, 5.")) from None
    if len(stages) > MAX_STAGES or not all(-60 <= stage <= 365 for stage in stages):
        raise ValidationError(_("List at most 12 days, each between -60 and 365."))


site_settings.register(
    Definition(
        key="billing.reminder_days",
        type=SettingType.STRING,
        default="-3, 1, 5",
        category=CATEGORY,
        description=_("Days after its due date on which an unpaid invoice is reminded of; before it with a minus."),
        validator=validate_stages,
    )
)
site_settings.register(
    Definition(
        key="billing.low_balance_hours",
        type=SettingType.STRING,
        default="72, 24, 6",
        category=CATEGORY,
        description=_("Hours that a wallet still pays for, at which its owner is told that it is low."),
        validator=validate_hours,
    )
)
site_settings.register(
    Definition(
        key="billing.charges_started_hours",
        type=SettingType.BOOLEAN,
        default=True,
        category=CATEGORY,
        description=_("Charge an hour when it starts. Otherwise only whole hours, when they are over."),
    )
)
for _name, _default, _bounds, _description in (
    ("prepaid_hours", 168, (0, 8760), _("Hours that a wallet must pay for before a server by the hour is ordered.")),
    # Less than a month: what is paid early must not bill the period after it at once.
    ("invoice_lead_days", 7, (0, 27), _("Days before a period begins on which its invoice is issued.")),
    ("price_notice_days", 30, (1, 365), _("Days before a price campaign's day on which its customers are told.")),
    (
        "max_pause_days",
        0,
        (0, 365),
        _("Longest pause of a subscription that its customer may choose, in days. 0: none."),
    ),
    ("suspend_after_days", 7, (0, 365), _("Days after its due date on which an unpaid invoice suspends its servers.")),
    (
        "delete_after_days",
        21,
        (1, 365),
        _(
            "Days after which what is not paid, or was canceled and is over, is deleted with all its data. What is "
            "billed by the hour and canceled is deleted after three days."
        ),
    ),
):
    site_settings.register(
        Definition(
            key=f"billing.{_name}",
            type=SettingType.INTEGER,
            default=_default,
            category=CATEGORY,
            description=_description,
            min=_bounds[0],
            max=_bounds[1],
        )
    )
