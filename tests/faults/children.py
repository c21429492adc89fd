"""Parts of a story in processes of their own, which can really be killed."""

import json
import os
import signal
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connections

from tests.faults import points

MAX_SECONDS = 90


@dataclass(frozen=True)
class Ended:
    """How a child ended: by which signal (0: none), with which status, and what it had to say."""

    signal: int
    status: int
    said: Any

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL ended it, as a power cut would: no exception, no finally, no rollback of its own."""
        return self.signal == signal.SIGKILL


def run(act: Callable[[], Any]) -> Ended:
    """Run `act` in a child process and wait for it; its result must be JSON. The caller's connections are closed."""
    connections.close_all()
    out, into = os.pipe()
    with warnings.catch_warnings():
        # xdist's reader thread exists in the parent only, and the child touches nothing of it.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(out)
        _live(act, into)
    os.close(into)
    with os.fdopen(out) as words:
        said = words.read()
    _pid, status = os.waitpid(child, 0)
    return Ended(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, status, json.loads(said) if said else None)


def _live(act: Callable[[], Any], into: int) -> None:
    """The child's whole life; it never returns into the test run that it was forked from."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(MAX_SECONDS)
    status = 1
    try:
        said = act()
        connections.close_all()
        status = 0
    except BaseException:
        said = traceback.format_exc()
    with os.fdopen(into, "w") as words:
        json.dump(said, words)
    os._exit(status)


def killed_at(point: str, act: Callable[[], Any]) -> Ended:
    """Run `act` in a child that is killed the moment it comes to `point`."""
    return _killed_when(lambda name, _count: name == point, act)


def killed_after(number: int, act: Callable[[], Any]) -> Ended:
    """Run `act` in a child that is killed at its `number`-th point, whichever that is, if it comes so far."""
    return _killed_when(lambda _name, count: count == number, act)


def _killed_when(is_time: Callable[[str, int], bool], act: Callable[[], Any]) -> Ended:
    reached: list[str] = []

    def reach(name: str) -> None:
        reached.append(name)
        if is_time(name, len(reached)):
            os.kill(os.getpid(), signal.SIGKILL)

    def live() -> Any:
        with points.watch(reach):
            return act()

    return run(live)


def points_of(act: Callable[[], Any]) -> list[str]:
    """The names of all points that `act` comes to, in order. Raises AssertionError where it fails."""
    reached: list[str] = []

    def live() -> list[str]:
        with points.watch(reached.append):
            act()
        return reached

    ended = run(live)
    assert ended.status == 0, ended.said
    return list(ended.said)
