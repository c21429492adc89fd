"""Protecting another system from us, and us from it: how many calls at once, and when to stop calling.

Gates are kept per process and per origin, so that every session to one host shares them.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.outside.errors import Unavailable

FAILURES_TO_OPEN = 5
COOL_DOWN_SECONDS = 30.0
CALLS_AT_ONCE = 8
_gates: dict[str, "Gate"] = {}
_gates_lock = threading.Lock()


class Breaker:
    """Opens after consecutive failures; after the cool-down one probe may pass, and its outcome decides.

    `clock` gives monotonic seconds.
    """

    def __init__(
        self,
        *,
        threshold: int = FAILURES_TO_OPEN,
        cool_down: float = COOL_DOWN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold, self._cool_down, self._clock = threshold, cool_down, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_until_probe_at: float | None = None

    def seconds_to_wait(self) -> float:
        """0 when a call may go ahead; while open, the seconds until a probe may. Taking the probe restarts the wait."""
        with self._lock:
            if self._closed_until_probe_at is None:
                return 0.0
            wait = self._closed_until_probe_at - self._clock()
            if wait > 0:
                return wait
            self._closed_until_probe_at = self._clock() + self._cool_down
            return 0.0

    def succeeded(self) -> None:
        """The host answered: calls flow again."""
        with self._lock:
            self._failures, self._closed_until_probe_at = 0, None

    def failed(self) -> None:
        """The host did not answer, or its front door said that nobody is home."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._threshold:
                self._closed_until_probe_at = self._clock() + self._cool_down


class Gate:
    """The breaker and the number of calls at once, for one host."""

    def __init__(self, *, limit: int = CALLS_AT_ONCE, breaker: Breaker | None = None, patience: float = 5.0) -> None:
        self.breaker = breaker or Breaker()
        self._places = threading.BoundedSemaphore(limit)
        self._patience = patience

    @contextmanager
    def entered(self, call: str) -> Iterator[None]:
        """Hold a place for the length of the block; Unavailable when the breaker is open or no place comes free."""
        if not self._places.acquire(timeout=self._patience):
            raise Unavailable(f"{call}: too many calls at once, this one was not sent")
        try:
            wait = self.breaker.seconds_to_wait()
            if wait:
                raise Unavailable(f"{call}: not sent, the host failed repeatedly", retry_after=round(wait) or 1)
            yield
        finally:
            self._places.release()


def gate_of(origin: str) -> Gate:
    """The gate shared by every session to this origin."""
    with _gates_lock:
        return _gates.setdefault(origin, Gate())


def forget_gates() -> None:
    """Begin anew, as a forked process must: a lock another thread held at the fork would never be given back."""
    global _gates_lock
    _gates_lock = threading.Lock()
    _gates.clear()


os.register_at_fork(after_in_child=forget_gates)
