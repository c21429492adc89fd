"""The sandbox's own time, which tests may move."""

import time

from sandbox.state import JsonObject


class Clock:
    """Real time plus an offset; it never stops, so ages and deadlines behave as in production."""

    name = "clock"

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """The present instant in unix seconds."""
        return time.time() + self._offset

    def seconds(self) -> int:
        """The present instant in whole unix seconds."""
        return int(self.now())

    def advance(self, seconds: float) -> None:
        """Move forward (or back, when negative)."""
        self._offset += seconds

    def set_to(self, at: float) -> None:
        """Jump so that the present instant is `at`, in unix seconds; time goes on from there."""
        self._offset = at - time.time()

    def snapshot(self) -> JsonObject:
        """The offset."""
        return {"offset": self._offset}

    def restore(self, saved: JsonObject) -> None:
        """Take over a saved offset."""
        self._offset = float(saved["offset"])

    def reset(self) -> None:
        """Return to real time."""
        self._offset = 0.0
