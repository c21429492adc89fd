"""Kinds that plugins register and rows name: a new one changes no table, and one that nobody registered is refused."""

from collections.abc import Collection
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.deconstruct import deconstructible
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _


@deconstructible
class RegisteredIn:
    """Refuses a value that is not among those that a function returns, such as `servers.drivers.registry.facts`.

    The function is named by its path, because a registry imports the models of those it registers.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, value: str) -> None:
        """Raise ValidationError with the values that are registered."""
        registered: Collection[str] = import_string(self.path)()
        if value not in registered:
            names = {"value": value, "registered": ", ".join(sorted(registered))}
            raise ValidationError(_("“%(value)s” is not installed. Choose one of these: %(registered)s."), params=names)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, RegisteredIn) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)
