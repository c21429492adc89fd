"""The shop's own processes in a bench: gunicorn, and where wanted a worker."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.environment import VAR, Environment
from bench.web_client import request
from demo.processes import ProcessGroup, ServerProcess

READY_SECONDS = 60
WEB_WORKERS = 2
POLL_SECONDS = 0.1


@contextmanager
def running_web(environment: Environment) -> Iterator[ProcessGroup]:
    """The shop behind gunicorn, as the demo runs it."""
    processes = ProcessGroup(logs=VAR / "log", environment=dict(os.environ), mark=str(VAR))
    try:
        web = processes.start_web(environment.web)
        _wait_until(lambda: _answers(environment.web_port), web)
        yield processes
    finally:
        processes.stop()


@contextmanager
def running_web_and_worker(environment: Environment) -> Iterator[None]:
    """The shop behind gunicorn with a worker, as the demo runs it."""
    with running_web(environment) as processes:
        worker = processes.start_worker(VAR)
        _wait_until(lambda: " ready." in worker.log.read_text(), worker)
        yield


def _answers(port: int) -> bool:
    try:
        request(port, "GET", "/health/ready")
    except (OSError, RuntimeError):
        return False
    return True


def _wait_until(is_ready: Callable[[], bool], process: ServerProcess) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready():
        process.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{process.name} was not ready within {READY_SECONDS} s; see {process.log}")
        time.sleep(POLL_SECONDS)
