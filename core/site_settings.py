"""Settings that staff change at runtime: which keys exist, what each may hold, and the value in force.

Apps register their keys in `AppConfig.ready()`. A missing, empty or no longer valid value means the default.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from core import audit, tenancy
from core.models import Setting, SettingType
from core.setting_types import Definition, checked, from_stored, to_stored

__all__ = [
    "Definition",
    "SettingType",
    "clear_cache",
    "definitions",
    "get",
    "last_public",
    "public",
    "register",
    "set_value",
]
log = logging.getLogger(__name__)
MAX_AGE_SECONDS = 5.0  # how long another process may still see an old value
_definitions: dict[str, Definition] = {}


def register(definition: Definition) -> None:
    """Register a key. ValueError when another definition has it or its default is not a valid value."""
    present = _definitions.get(definition.key)
    if present is not None and present != definition:
        raise ValueError(f"the setting {definition.key} is registered twice")
    try:
        checked(definition, definition.default)
    except ValidationError as error:
        raise ValueError(f"the default of {definition.key} is not valid: {error.messages}") from None
    _definitions[definition.key] = definition


def definitions() -> tuple[Definition, ...]:
    """Every registered key, by category and name."""
    return tuple(sorted(_definitions.values(), key=lambda definition: (definition.category, definition.key)))


def definition_of(key: str) -> Definition:
    """The key's definition; ValidationError when no app registered it."""
    if key not in _definitions:
        raise ValidationError(_("There is no setting called %(key)s."), code="unknown_key", params={"key": key})
    return _definitions[key]


class SettingsCache:
    """The stored values as last read. Read again after MAX_AGE_SECONDS, and at once after a change in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._cached: tuple[float, Mapping[str, Any]] | None = None
        self._uncommitted = threading.local()

    def values(self) -> Mapping[str, Any]:
        """The stored values by key. A transaction that changed some does not use the cache until it has committed."""
        if getattr(self._uncommitted, "is_changed", False) and connection.in_atomic_block:
            return self._stored()
        cached = self._cached
        if cached is None or self.clock() - cached[0] > MAX_AGE_SECONDS:
            read_at = self.clock()
            cached = self._cached = (read_at, self._stored())
        return cached[1]

    def last_read(self) -> Mapping[str, Any]:
        """The values as last read, without asking the database; none before the first read."""
        return self._cached[1] if self._cached else {}

    def mark_changed(self) -> None:
        """A value was written in the running transaction."""
        self._uncommitted.is_changed = True
        transaction.on_commit(self.clear)

    def clear(self) -> None:
        """Read again next time."""
        self._uncommitted.is_changed = False
        self._cached = None

    def _stored(self) -> dict[str, Any]:
        return dict(Setting.objects.values_list("key", "value"))


_cache = SettingsCache()


def clear_cache() -> None:
    """Clear this process's cache; tests do so between cases."""
    _cache.clear()


def get(key: str) -> Any:
    """The value in force, in its Python type: str, int, bool, Decimal, or timedelta for a duration."""
    return _effective_value(definition_of(key), _cache.values())


def public() -> dict[str, Any]:
    """The values that templates may show, by key."""
    return _public_of(_cache.values())


def last_public() -> dict[str, Any]:
    """As `public`, by the values last read: for pages that must work while the database does not."""
    return _public_of(_cache.last_read())


def _public_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _effective_value(definition, stored) for key, definition in _definitions.items() if definition.is_public
    }


def _effective_value(definition: Definition, stored: Mapping[str, Any]) -> Any:
    value = stored.get(definition.key)
    if value is None or (isinstance(value, str) and not value.strip()):
        return definition.default
    try:
        return checked(definition, from_stored(definition, value))
    except ValidationError as error:
        log.warning("the stored value of %s is not valid (%s); its default is used", definition.key, error.messages)
        return definition.default


def set_value(key: str, value: Any, actor: Any = None) -> Any:
    """Store a value with an audit entry; returns the value then in force. None or an empty text restores the default.

    ValidationError for an unknown key, a wrong type or a value out of bounds.
    """
    definition = definition_of(key)
    is_empty = value is None or (isinstance(value, str) and not value.strip())
    stored = None if is_empty else to_stored(checked(definition, value))
    described = {
        "type": definition.type,
        "category": str(definition.category),
        "description": str(definition.description),
        "is_public": definition.is_public,
    }
    with tenancy.as_worker():
        setting, _is_new = Setting.objects.get_or_create(key=key, defaults=described)
        setting = Setting.objects.select_for_update(no_key=True).get(pk=setting.pk)
        before = setting.value
        Setting.objects.filter(pk=setting.pk).update(value=stored, **described)
        _cache.mark_changed()
        if before != stored:
            old, new = {"value": before}, {"value": stored}
            audit.record(action="setting.set", entity=setting, actor=actor, old=old, new=new)
    return get(key)


def validate_currency(value: Any) -> None:
    """ValidationError unless the value looks like an ISO 4217 code."""
    if not (len(value) == 3 and value.isascii() and value.isalpha() and value.isupper()):
        raise ValidationError(_("A currency is three capital letters, such as USD."))


SHOP = _("Shop")
CORE_DEFINITIONS = (
    Definition("shop.name", SettingType.STRING, "NodeByte", SHOP, _("The shop's name."), is_public=True, max=80),
    Definition("shop.tagline", SettingType.STRING, "", SHOP, _("One line under the name."), is_public=True, max=160),
    Definition("shop.logo_url", SettingType.URL, "", SHOP, _("Address of the logo."), is_public=True),
    Definition("shop.brand_hue", SettingType.HUE, 264, SHOP, _("The brand colour's hue, 0 to 360."), is_public=True),
    Definition("shop.support_email", SettingType.EMAIL, "", SHOP, _("Where customers can write."), is_public=True),
    Definition("shop.terms_url", SettingType.URL, "", SHOP, _("Address of the terms."), is_public=True),
    Definition("shop.privacy_url", SettingType.URL, "", SHOP, _("Address of the privacy notice."), is_public=True),
    Definition(
        "shop.currency",
        SettingType.STRING,
        "USD",
        SHOP,
        _("Currency in which prices are first shown."),
        is_public=True,
        validator=validate_currency,
    ),
    Definition(
        "work.keep_done_days",
        SettingType.INTEGER,
        90,
        _("Background work"),
        _("Days after which finished background work, such as processed webhook events, is deleted."),
        min=31,  # gateways list their events for 30 days: one deleted sooner could be stored again
        max=3650,
    ),
)
for _definition in CORE_DEFINITIONS:
    register(_definition)
