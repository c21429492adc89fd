"""Limits per host: how many calls run at once, and a circuit breaker that stops calling a host that is down.

They belong to the process and the origin, so all sessions to one host share them.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from core.outside import pages
from core.outside.errors import Unavailable

FAILURES_TO_OPEN = 5
COOL_DOWN_SECONDS = 30.0
MAX_CONCURRENT_CALLS = 8
_limits: dict[str, "HostLimits"] = {}
_limits_lock = threading.Lock()


class CircuitBreaker:
    """Opens after consecutive failures; after the cool-down one probe is allowed, and its outcome decides.

    `clock` returns monotonic seconds.
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
        self._open_until: float | None = None

    def seconds_to_wait(self) -> float:
        """0 when a call may be sent; while open, the seconds until a probe may. Taking the probe restarts the wait."""
        with self._lock:
            if self._open_until is None:
                return 0.0
            wait = self._open_until - self._clock()
            if wait > 0:
                return wait
            self._open_until = self._clock() + self._cool_down
            return 0.0

    def record_success(self) -> None:
        """The host answered: close the circuit."""
        with self._lock:
            self._failures, self._open_until = 0, None

    def record_failure(self) -> None:
        """The host did not answer, or its proxy said that the host is down."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._threshold:
                self._open_until = self._clock() + self._cool_down


class HostLimits:
    """The concurrency limit and the circuit breaker of one host. `acquire_timeout` is in seconds."""

    def __init__(
        self,
        *,
        max_concurrent: int = MAX_CONCURRENT_CALLS,
        breaker: CircuitBreaker | None = None,
        acquire_timeout: float = 5.0,
    ) -> None:
        self.breaker = breaker or CircuitBreaker()
        self._slots = threading.BoundedSemaphore(max_concurrent)
        self._acquire_timeout = acquire_timeout

    @contextmanager
    def slot(self, call: str) -> Iterator[None]:
        """Hold a slot during the block; Unavailable when the breaker is open or no slot becomes free.

        Every call to another system goes through here. Raises RuntimeError in a page that may make none.
        """
        pages.refuse_page(call)
        if not self._slots.acquire(timeout=self._acquire_timeout):
            raise Unavailable(f"{call}: too many calls at once, this one was not sent")
        try:
            wait = self.breaker.seconds_to_wait()
            if wait:
                raise Unavailable(f"{call}: not sent, the host failed repeatedly", retry_after=round(wait) or 1)
            yield
        finally:
            self._slots.release()


def limits_of(origin: str) -> HostLimits:
    """The limits shared by every session to this origin."""
    with _limits_lock:
        return _limits.setdefault(origin, HostLimits())


def reset_limits() -> None:
    """Start again without state. A forked process must: a lock that another thread held would never be released."""
    global _limits_lock
    _limits_lock = threading.Lock()
    _limits.clear()


os.register_at_fork(after_in_child=reset_limits)
