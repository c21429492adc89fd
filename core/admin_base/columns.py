"""How the admin shows a value: money as money, sizes as sizes, statuses as labels, secrets as set or not set."""

import json
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core import formats
from core.encryption import EncryptedField, is_set
from core.masking import is_secret_name, masked
from core.models import StatusField, Tone
from core.money import Money, Rate

Column = Callable[[Any], Any]
EMPTY = "–"
FULL, NEARLY_FULL = 95, 80  # percent


def column_for(field: "models.Field[Any, Any]") -> Column | None:
    """A column that shows the field as staff should see it; None where Django's own way is right."""
    name = field.name

    def secret(row: Any) -> str:
        return _("set") if is_set(row, name) else _("not set")

    def status(row: Any) -> Any:
        value, label = getattr(row, name), getattr(row, f"get_{name}_display")()
        context = {"text": label, "type": getattr(value, "tone", Tone.NEUTRAL), "size": "md"}
        return render_to_string("unfold/helpers/label.html", context) if label else EMPTY

    def size(row: Any) -> str:
        return formats.size(getattr(row, name))

    def number(row: Any) -> str:
        value = getattr(row, name)
        return EMPTY if value is None else formats.number(value, places=10)

    def moment(row: Any) -> str:
        value = getattr(row, name)
        return EMPTY if value is None else formats.instant(value)

    match field:
        case EncryptedField():
            column: Column = secret
        case StatusField():
            column = status
        case models.JSONField():
            column = partial(json_text, name=name)
        case _ if name.endswith("_minor"):
            column = partial(price_text, name=name)
        case _ if name.endswith("_mib"):
            column = size
        case models.DecimalField():
            column = number
        case models.DateTimeField():
            column = moment
        case _:
            return None
    column.__name__ = name
    column.short_description = str(field.verbose_name).removesuffix(" (MiB)")  # type: ignore[attr-defined]
    if not isinstance(field, EncryptedField | models.JSONField):
        column.admin_order_field = name  # type: ignore[attr-defined]
    return column


def json_text(row: Any, name: str) -> Any:
    """A JSON value with its secrets masked."""
    value = getattr(row, name)
    if value in (None, {}, [], ""):
        return EMPTY
    if is_secret_name(name):
        return _("set")
    text = json.dumps(masked(value), indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)
    return format_html('<pre class="staff-json">{}</pre>', text)


def price_text(row: Any, name: str) -> str:
    """An amount or rate in the row's currency, or in that of a column such as `cost_currency` for `cost_minor`."""
    minor = getattr(row, name)
    currency = getattr(row, f"{name.removesuffix('_minor')}_currency", "") or getattr(row, "currency", "")
    if minor is None or not currency:
        return EMPTY
    return str(Rate(minor, currency) if isinstance(minor, Decimal) else Money(minor, currency))


def usage_bar(used_mib: int, limit_mib: int) -> SafeString:
    """How full something is, as unfold's progress bar with the sizes above it."""
    percent = min(100, used_mib * 100 // limit_mib) if limit_mib else 0
    colour = "staff-full" if percent >= FULL else "staff-nearly-full" if percent >= NEARLY_FULL else ""
    context = {
        "title": f"{formats.size(used_mib)} / {formats.size(limit_mib)}",
        "items": [{"value": percent, "progress_class": colour}],
        "class": "staff-bar",
    }
    return render_to_string("unfold/components/progress.html", context)
