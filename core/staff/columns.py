"""How staff pages show a value: money as money, sizes as sizes, states as badges, secrets as set or not set."""

import json
from collections.abc import Callable
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
from core.money import Money

Column = Callable[[Any], Any]
EMPTY = "–"
STATE_NAMES = frozenset({"state", "status", "health", "outcome"})
GOOD = "active paid succeeded running done healthy completed kept acted"
UNDER_WAY = "installing provisioning processing pending queued draft open held_for_checkout"
DOUBTFUL = "held past_due waiting_capacity disputed overdue suspended pending_payment pending_verification"
BAD = "failed dead failing deleting"
TONES = {
    state: tone
    for tone, states in (("success", GOOD), ("info", UNDER_WAY), ("warning", DOUBTFUL), ("danger", BAD))
    for state in states.split()
}


def column_for(field: "models.Field[Any, Any]") -> Column | None:
    """A column that shows the field as staff should see it; None where Django's own way is right."""
    for fits, show in _WAYS:
        if fits(field):
            return _column(field, show(field))
    return None


def _column(field: "models.Field[Any, Any]", show: Column) -> Column:
    def column(row: Any) -> Any:
        return show(row)

    column.__name__ = field.name
    column.short_description = field.verbose_name.removesuffix(" minor").removesuffix(" mib")  # type: ignore[attr-defined]
    if not isinstance(field, EncryptedField | models.JSONField):
        column.admin_order_field = field.name  # type: ignore[attr-defined]
    return column


def badge(text: str, tone: str = "") -> SafeString:
    """A small coloured label; tones are success, info, warning, danger, and none for grey."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": tone, "size": "md"})


def _secret(field: "models.Field[Any, Any]") -> Column:
    return lambda row: _("set") if is_set(row, field.name) else _("not set")


def _money(field: "models.Field[Any, Any]") -> Column:
    own = f"{field.name.removesuffix('_minor')}_currency"

    def show(row: Any) -> str:
        minor = getattr(row, field.name)
        currency = getattr(row, own, "") or getattr(row, "currency", "")
        return EMPTY if minor is None or not currency else str(Money(minor, currency))

    return show


def _size(field: "models.Field[Any, Any]") -> Column:
    return lambda row: formats.size(getattr(row, field.name))


def _state(field: "models.Field[Any, Any]") -> Column:
    labels = dict(field.flatchoices)

    def show(row: Any) -> Any:
        value = getattr(row, field.name)
        return badge(str(labels.get(value, value)), TONES.get(value, ""))

    return show


def _json(field: "models.Field[Any, Any]") -> Column:
    hides = is_secret_name(field.name)

    def show(row: Any) -> Any:
        value = getattr(row, field.name)
        if value in (None, {}, [], ""):
            return EMPTY
        return _("set") if hides else pretty(value)

    return show


def pretty(value: Any) -> SafeString:
    """A JSON value to read, with what stands under secret names masked."""
    text = json.dumps(masked(value), indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)
    return format_html('<pre class="staff-json">{}</pre>', text)


def _is_state(field: "models.Field[Any, Any]") -> bool:
    return field.name in STATE_NAMES and bool(getattr(field, "flatchoices", None))


_WAYS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Column]], ...] = (
    (lambda field: isinstance(field, EncryptedField), _secret),
    (lambda field: field.name.endswith("_minor"), _money),
    (lambda field: field.name.endswith("_mib"), _size),
    (_is_state, _state),
    (lambda field: isinstance(field, models.JSONField), _json),
)
