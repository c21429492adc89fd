"""Which status may follow which."""

from collections.abc import Mapping
from typing import Any, ClassVar


class IllegalTransition(ValueError):
    """The requested status may not follow the current one."""


class StateMachine:
    """A model whose status changes only as `TRANSITIONS` allows; `STATUS_FIELD` names its column."""

    TRANSITIONS: ClassVar[Mapping[Any, set[Any]]]
    STATUS_FIELD: ClassVar[str] = "status"

    def transition_to(self, status: Any) -> None:
        """Set the status, or raise IllegalTransition. The caller holds the row lock and saves."""
        current = getattr(self, self.STATUS_FIELD)
        if status not in self.TRANSITIONS[current]:
            raise IllegalTransition(f"{self} cannot go from {current} to {status}")
        setattr(self, self.STATUS_FIELD, status)
