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
for _name, _default, _bounds, _description in (
    # Less than a month: what is paid early must not bill the period after it at once.
    ("invoice_lead_days", 7, (0, 27), _("Days before a period begins on which its invoice is issued.")),
    ("suspend_after_days", 7, (0, 365), _("Days after its due date on which an unpaid invoice suspends its servers.")),
    (
        "delete_after_days",
        21,
        (1, 365),
        _("Days after which what is not paid, or was canceled and is over, is deleted with all its data."),
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
