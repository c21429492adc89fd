"""Which status may follow which: the rule about one row, on the row."""

from collections.abc import Mapping
from typing import Any, ClassVar


class IllegalMove(ValueError):
    """A status was asked for that cannot follow the present one."""


class Moves:
    """A model with a `status` that only moves as `MOVES` says."""

    MOVES: ClassVar[Mapping[Any, set[Any]]]
    status: Any

    def move_to(self, status: Any) -> None:
        """Check the move and make it. The caller holds the row lock and saves. Raises IllegalMove."""
        if status not in self.MOVES[self.status]:
            raise IllegalMove(f"{self} cannot go from {self.status} to {status}")
        self.status = status
