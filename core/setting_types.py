"""What a setting's value may be: its Python type, its bounds, and its form in the database."""

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
    _CHECKS[definition.type](definition, value)
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
    if definition.type is SettingType.DURATION and isinstance(value, int) and not isinstance(value, bool):
        return _or_same(lambda: timedelta(seconds=value), value)
    if definition.type is SettingType.DECIMAL and isinstance(value, str):
        return _or_same(lambda: Decimal(value), value)
    return value


def _or_same(convert: Callable[[], Any], value: Any) -> Any:
    try:
        return convert()
    except (InvalidOperation, OverflowError):
        return value


def _require(condition: object, message: Any, **params: Any) -> None:
    if not condition:
        raise ValidationError(message, code="invalid", params=params)


def _within(definition: Definition, value: Any) -> None:
    low, high = definition.min, definition.max
    _require(low is None or value >= low, _("Must be at least %(bound)s."), bound=low)
    _require(high is None or value <= high, _("Must be at most %(bound)s."), bound=high)


def _check_text(definition: Definition, value: Any) -> None:
    _require(isinstance(value, str), _("Must be text."))
    longest = definition.max or (MAX_TEXT if definition.type is SettingType.TEXT else MAX_LINE)
    _require(len(value) <= longest, _("Must be at most %(bound)s characters."), bound=longest)
    allowed = "\n\r\t" if definition.type is SettingType.TEXT else ""
    _require(all(sign.isprintable() or sign in allowed for sign in value), _("Must not hold control characters."))


def _check_integer(definition: Definition, value: Any) -> None:
    _require(isinstance(value, int) and not isinstance(value, bool), _("Must be a whole number."))
    _within(definition, value)


def _check_boolean(_definition: Definition, value: Any) -> None:
    _require(isinstance(value, bool), _("Must be yes or no."))


def _check_decimal(definition: Definition, value: Any) -> None:
    _require(isinstance(value, Decimal) and value.is_finite(), _("Must be a decimal number."))
    _within(definition, value)


def _check_choice(definition: Definition, value: Any) -> None:
    _require(value in definition.choices, _("Must be one of %(choices)s."), choices=", ".join(definition.choices))


def _check_hue(definition: Definition, value: Any) -> None:
    _check_integer(definition, value)
    _require(0 <= value <= 360, _("A hue lies between 0 and 360."))


def _check_email(definition: Definition, value: Any) -> None:
    _check_text(definition, value)
    validate_email(value)


def _check_url(definition: Definition, value: Any) -> None:
    _check_text(definition, value)
    URLValidator(schemes=["http", "https"])(value)


def _check_duration(definition: Definition, value: Any) -> None:
    _require(isinstance(value, timedelta) and not value.microseconds, _("Must be a duration in whole seconds."))
    _within(definition, value)


_CHECKS: dict[SettingType, Callable[[Definition, Any], None]] = {
    SettingType.STRING: _check_text,
    SettingType.TEXT: _check_text,
    SettingType.INTEGER: _check_integer,
    SettingType.BOOLEAN: _check_boolean,
    SettingType.DECIMAL: _check_decimal,
    SettingType.CHOICE: _check_choice,
    SettingType.HUE: _check_hue,
    SettingType.EMAIL: _check_email,
    SettingType.URL: _check_url,
    SettingType.DURATION: _check_duration,
}
