"""Which status may follow which."""

from collections.abc import Mapping
from typing import Any, ClassVar


class IllegalTransition(ValueError):
    """The requested status may not follow the current one."""


class StateMachine:
    """A model whose `status` changes only as `TRANSITIONS` allows."""

    TRANSITIONS: ClassVar[Mapping[Any, set[Any]]]
    status: Any

    def transition_to(self, status: Any) -> None:
        """Set the status, or raise IllegalTransition. The caller holds the row lock and saves."""
        if status not in self.TRANSITIONS[self.status]:
            raise IllegalTransition(f"{self} cannot go from {self.status} to {status}")
        self.status = status
