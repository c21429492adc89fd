"""The demo's processes: started together, watched together, stopped together."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

MARK = "NODEBYTE_DEMO"  # an environment variable of every process, by which the next run finds what is left of this one
STOP_SECONDS = 15
SHOWN_LINES = 20
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class DemoError(Exception):
    """The demo cannot go on; the text tells the user why."""


class ServerProcess:
    """One running process with its own log file."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    def check(self) -> None:
        """Raise DemoError when it has ended."""
        code = self.process.poll()
        if code is not None:
            raise DemoError(f"{self.name} ended by itself ({_ending(code)}).{last_lines(self.log)}")

    def stop(self, deadline: float) -> None:
        """Wait for its end until `deadline`, then kill whatever is left of its process group."""
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"{self.name} does not stop; killing it")
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # nothing is left, as it should be
        self.process.wait()


class ProcessGroup:
    """Starts processes that share one environment and one folder of logs."""

    def __init__(self, *, logs: Path, environment: Mapping[str, str], mark: str) -> None:
        self.logs = logs
        self.environment = {**environment, MARK: mark, "PYTHONUNBUFFERED": "1"}
        self.mark = mark
        self._processes: list[ServerProcess] = []
        logs.mkdir(parents=True, exist_ok=True)

    def run(self, name: str, command: Sequence[str], **extra: str) -> None:
        """Run one Python command to its end. Raises DemoError with its last lines when it fails."""
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
            raise DemoError(f"{name} failed ({_ending(done.returncode)}).{last_lines(log)}")

    def start(self, name: str, command: Sequence[str], *, pass_fds: Sequence[int] = ()) -> ServerProcess:
        """Start one Python process in a group of its own; it gets SIGTERM when this one dies."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=pass_fds,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        started = ServerProcess(name, process, log)
        self._processes.append(started)
        return started

    def start_web(self, listener: socket.socket) -> ServerProcess:
        """Start gunicorn on a socket that listens already: what answers there is this shop, and no other."""
        options = ["-c", "python:nodebyte.web_server", "--bind", f"fd://{listener.fileno()}"]
        return self.start("web", ["-m", "gunicorn", "nodebyte.wsgi", *options], pass_fds=[listener.fileno()])

    def start_relay(self, listener: socket.socket) -> ServerProcess:
        """Start the relay of consoles."""
        command = ["manage.py", "console_relay", "--fd", str(listener.fileno())]
        return self.start("relay", command, pass_fds=[listener.fileno()])

    def start_worker(self, var: Path) -> ServerProcess:
        """Start the worker with its schedule: Celery's where there is a Redis, NodeByte's own where there is none."""
        if not self.environment.get("REDIS_URL"):
            return self.start("worker", ["manage.py", "worker"])
        options = ["-B", "-s", str(var / "celerybeat-schedule"), "--pool", "threads"]
        options += ["--concurrency", "8", "--loglevel", "INFO"]
        return self.start("worker", ["-m", "celery", "-A", "nodebyte", "worker", *options])

    def check(self) -> None:
        """Raise DemoError when any process has ended."""
        for process in self._processes:
            process.check()

    def stop(self) -> None:
        """Stop all, the last started first; harmless when nothing runs."""
        deadline = time.monotonic() + STOP_SECONDS
        for each in reversed(self._processes):
            if each.process.poll() is None:
                each.process.terminate()
        for each in reversed(self._processes):
            each.stop(deadline)
        self._processes.clear()

    def clear_leftovers(self) -> int:
        """Kill what an earlier demo of the same folder left running, except PostgreSQL; how many processes."""
        left = [process for process in psutil.process_iter(["name"]) if self._is_leftover(process)]
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=5)
        return len(left)

    def _is_leftover(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid() or str(process.info["name"]).startswith("postgres"):
            return False
        try:
            return bool(process.environ().get(MARK) == self.mark)
        except (psutil.Error, OSError):
            return False  # another user's, or ended


def last_lines(log: Path) -> str:
    """The end of a log, indented, with its path; empty when nothing was written."""
    lines = log.read_text(errors="replace").splitlines()[-SHOWN_LINES:] if log.exists() else []
    shown = "".join(f"\n    {line}" for line in lines)
    return f" Its last lines ({log}):{shown}" if shown else ""


def _ending(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def _die_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
