"""Which status may follow which: the rule about one row, on the row."""

from collections.abc import Mapping
from typing import Any, ClassVar


class IllegalTransition(ValueError):
    """A status was asked for that cannot follow the present one."""


class StateMachine:
    """A model with a `status` that only moves as `TRANSITIONS` says."""

    TRANSITIONS: ClassVar[Mapping[Any, set[Any]]]
    status: Any

    def transition_to(self, status: Any) -> None:
        """Check the move and make it. The caller holds the row lock and saves. Raises IllegalTransition."""
        if status not in self.TRANSITIONS[self.status]:
            raise IllegalTransition(f"{self} cannot go from {self.status} to {status}")
        self.status = status
