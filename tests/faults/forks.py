"""Parts of a story in forked processes, which can really be killed."""

import gc
import json
import os
import signal
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connections

from tests.faults import kill_points

MAX_SECONDS = 90


@dataclass(frozen=True)
class Exit:
    """How a process ended: by which signal (0: none), with which status, and what it wrote."""

    signal: int
    status: int
    output: Any

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL ended it, as a power cut would: no exception, no finally, no rollback of its own."""
        return self.signal == signal.SIGKILL


def run(act: Callable[[], Any]) -> Exit:
    """Run `act` in a forked process and wait for it; its result must be JSON. The caller's connections are closed."""
    connections.close_all()
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        # xdist's reader thread exists in the parent only, and the forked process touches nothing of it.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _run_and_exit(act, write_end)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        output = pipe.read()
    _pid, status = os.waitpid(pid, 0)
    return Exit(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, status, json.loads(output) if output else None)


def _run_and_exit(act: Callable[[], Any], write_end: int) -> None:
    """All that the forked process does; it never returns into the test run that it was forked from."""
    gc.freeze()  # else each collection reads, and thereby copies, all that was inherited
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(MAX_SECONDS)
    status = 1
    try:
        output = act()
        connections.close_all()
        status = 0
    except BaseException:
        output = traceback.format_exc()
    with os.fdopen(write_end, "w") as pipe:
        json.dump(output, pipe)
    os._exit(status)


def run_and_kill_at(point: str, act: Callable[[], Any]) -> Exit:
    """Run `act` in a process that is killed the moment it comes to `point`."""
    return _run_and_kill_when(lambda name, _count: name == point, act)


def run_and_kill_after(number: int, act: Callable[[], Any]) -> Exit:
    """Run `act` in a process that is killed at its `number`-th point, whichever that is, if it comes so far."""
    return _run_and_kill_when(lambda _name, count: count == number, act)


def run_and_kill_at_new_point(killed_at: Path, act: Callable[[], Any]) -> Exit:
    """Run `act` in a process that is killed at the first point that is no line of this file, which then gets it."""

    def is_new(name: str, _count: int) -> bool:
        if name in killed_at.read_text().splitlines():
            return False
        with killed_at.open("a") as file:
            file.write(f"{name}\n")
        return True

    return _run_and_kill_when(is_new, act)


def _run_and_kill_when(is_time: Callable[[str, int], bool], act: Callable[[], Any]) -> Exit:
    reached: list[str] = []

    def reach(name: str) -> None:
        reached.append(name)
        if is_time(name, len(reached)):
            os.kill(os.getpid(), signal.SIGKILL)

    def watched() -> Any:
        with kill_points.watch(reach):
            return act()

    return run(watched)


def kill_points_of(act: Callable[[], Any]) -> list[str]:
    """The names of all points that `act` comes to, in order. Raises AssertionError where it fails."""
    reached: list[str] = []

    def watched() -> list[str]:
        with kill_points.watch(reached.append):
            act()
        return reached

    exited = run(watched)
    assert exited.status == 0, exited.output
    return list(exited.output)
