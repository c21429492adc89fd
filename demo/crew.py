"""The demo's processes: started together, watched together, stopped together."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

MARK = "NODEBYTE_DEMO"  # every process of a demo carries it, so that a rerun finds what an earlier one left
STOP_SECONDS = 15
SHOWN_LINES = 20
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """The demo cannot go on; the text says why, for a person."""


class Member:
    """One running process with its own log file."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    def check(self) -> None:
        """Raise Failed when it has ended."""
        code = self.process.poll()
        if code is not None:
            raise Failed(f"{self.name} ended by itself ({_ending(code)}).{last_lines(self.log)}")

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process; its children are its own affair."""
        if self.process.poll() is None:
            self.process.terminate()

    def stop(self, deadline: float) -> None:
        """Wait for its end until `deadline`, then kill whatever is left of its group."""
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"{self.name} does not stop; killing it")
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # nothing is left, as it should be
        self.process.wait()


class Crew:
    """Starts processes that share one environment and one folder of logs."""

    def __init__(self, *, logs: Path, environment: Mapping[str, str], mark: str) -> None:
        self.logs = logs
        self.environment = {**environment, MARK: mark, "PYTHONUNBUFFERED": "1"}
        self.mark = mark
        self._members: list[Member] = []
        logs.mkdir(parents=True, exist_ok=True)

    def run(self, name: str, command: Sequence[str], **extra: str) -> None:
        """Run one command to its end. Raises Failed with its last lines when it fails."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            done = subprocess.run(
                [sys.executable, *command],
                env=self.environment | extra,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise Failed(f"{name} failed ({_ending(done.returncode)}).{last_lines(log)}")

    def start(self, name: str, command: Sequence[str], **extra: str) -> Member:
        """Start one process in a group of its own; it gets SIGTERM when this one dies."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                env=self.environment | extra,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        member = Member(name, process, log)
        self._members.append(member)
        return member

    def check(self) -> None:
        """Raise Failed when any process has ended."""
        for member in self._members:
            member.check()

    def stop(self) -> None:
        """Stop all, the last started first; harmless when nothing runs."""
        deadline = time.monotonic() + STOP_SECONDS
        for member in reversed(self._members):
            member.ask_to_stop()
        for member in reversed(self._members):
            member.stop(deadline)
        self._members.clear()

    def clear_leftovers(self) -> int:
        """Kill what an earlier demo of the same folder left running; how many. PostgreSQL is left to its own care."""
        left = [process for process in psutil.process_iter(["name"]) if self._is_ours(process)]
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=5)
        return len(left)

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid() or str(process.info["name"]).startswith("postgres"):
            return False
        try:
            return bool(process.environ().get(MARK) == self.mark)
        except (psutil.Error, OSError):
            return False  # another user's, or gone


def last_lines(log: Path) -> str:
    """The end of a log, indented, with its place; empty when nothing was written."""
    lines = log.read_text(errors="replace").splitlines()[-SHOWN_LINES:] if log.exists() else []
    shown = "".join(f"\n    {line}" for line in lines)
    return f" Its last lines ({log}):{shown}" if shown else ""


def _ending(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


_LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
