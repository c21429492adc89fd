"""The types of settings: which Python value each takes, its bounds, and its form in the database."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from core.models import SettingType

MAX_LINE = 500
MAX_TEXT = 20_000


@dataclass(frozen=True)
class Definition:
    """One key. `min` and `max` bound numbers and durations; for texts `max` is the length. An empty default is fine."""

    key: str
    type: SettingType
    default: Any
    category: str | Promise
    description: str | Promise
    is_public: bool = False
    choices: tuple[str, ...] = ()
    min: Any = None
    max: Any = None
    validator: Callable[[Any], None] | None = None


def checked(definition: Definition, value: Any) -> Any:
    """The value, or ValidationError when it is of the wrong type, out of bounds or refused by the validator."""
    if value == "" and isinstance(definition.default, str) and definition.default == "":
        return value
    match definition.type:
        case SettingType.BOOLEAN:
            _require(isinstance(value, bool), _("Must be yes or no."))
        case SettingType.INTEGER | SettingType.HUE:
            _require(isinstance(value, int) and not isinstance(value, bool), _("Must be a whole number."))
            _require_within_bounds(definition, value)
        case SettingType.DECIMAL:
            _require(isinstance(value, Decimal) and value.is_finite(), _("Must be a decimal number."))
            _require_within_bounds(definition, value)
        case SettingType.DURATION:
            is_whole = isinstance(value, timedelta) and not value.microseconds
            _require(is_whole, _("Must be a duration in whole seconds."))
            _require_within_bounds(definition, value)
        case SettingType.CHOICE:
            choices = ", ".join(definition.choices)
            _require(value in definition.choices, _("Must be one of %(choices)s."), choices=choices)
        case _:  # the kinds of text
            is_multiline = definition.type is SettingType.TEXT
            max_length = definition.max or (MAX_TEXT if is_multiline else MAX_LINE)
            allowed = "\n\r\t" if is_multiline else ""
            _require(isinstance(value, str), _("Must be text."))
            _require(len(value) <= max_length, _("Must be at most %(bound)s characters."), bound=max_length)
            is_printable = all(character.isprintable() or character in allowed for character in value)
            _require(is_printable, _("Must not hold control characters."))
    if definition.type is SettingType.HUE:
        _require(0 <= value <= 360, _("A hue lies between 0 and 360."))
    elif definition.type is SettingType.EMAIL:
        validate_email(value)
    elif definition.type is SettingType.URL:
        URLValidator(schemes=["http", "https"])(value)
    if definition.validator is not None:
        definition.validator(value)
    return value


def to_stored(value: Any) -> Any:
    """The JSON form: decimals as text, durations as whole seconds."""
    if isinstance(value, Decimal):
        return str(value)
    return int(value.total_seconds()) if isinstance(value, timedelta) else value


def from_stored(definition: Definition, value: Any) -> Any:
    """The Python value of a stored JSON form; what does not convert is left for `checked` to refuse."""
    try:
        if definition.type is SettingType.DURATION and isinstance(value, int) and not isinstance(value, bool):
            return timedelta(seconds=value)
        if definition.type is SettingType.DECIMAL and isinstance(value, str):
            return Decimal(value)
    except (InvalidOperation, OverflowError):
        return value
    return value


def _require(condition: object, message: Any, **params: Any) -> None:
    if not condition:
        raise ValidationError(message, code="invalid", params=params)


def _require_within_bounds(definition: Definition, value: Any) -> None:
    low, high = definition.min, definition.max
    _require(low is None or value >= low, _("Must be at least %(bound)s."), bound=low)
    _require(high is None or value <= high, _("Must be at most %(bound)s."), bound=high)
