"""The shop's own processes on a bench's ground: gunicorn, and where wanted a Celery worker with its clock."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from demo.crew import Crew, Member
from demo.places import HOST

from bench.ground import Ground
from bench.web_client import ask

READY_SECONDS = 60
WORKERS = 2
LOOK_SECONDS = 0.1


@contextmanager
def served(ground: Ground) -> Iterator[int]:
    """The shop behind gunicorn; its port."""
    with _crew(ground) as crew:
        _start_web(crew, ground)
        yield ground.web_port


@contextmanager
def at_work(ground: Ground) -> Iterator[int]:
    """The shop behind gunicorn with a worker, as the demo runs it; its port."""
    with _crew(ground) as crew:
        beat = str(ground.var / "celerybeat-schedule")
        worker = ["-m", "celery", "-A", "nodebyte", "worker", "-B", "-s", beat, "--concurrency", "2"]
        member = crew.start("worker", [*worker, "--loglevel", "INFO"])
        _start_web(crew, ground)
        _wait_for_worker(member)
        yield ground.web_port


@contextmanager
def _crew(ground: Ground) -> Iterator[Crew]:
    crew = Crew(logs=ground.var / "log", environment=dict(os.environ), mark=str(ground.var))
    try:
        yield crew
    finally:
        crew.stop()


def _start_web(crew: Crew, ground: Ground) -> None:
    bind = f"{HOST}:{ground.web_port}"
    how = ["--bind", bind, "--workers", str(WORKERS), "--timeout", "60"]
    web = crew.start("web", ["-m", "gunicorn", "nodebyte.wsgi", *how])
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        web.check()
        try:
            ask(ground.web_port, "GET", "/health/ready")
        except (OSError, RuntimeError):
            time.sleep(LOOK_SECONDS)
        else:
            return
    raise RuntimeError(f"the shop was not ready within {READY_SECONDS} s; see {web.log}")


def _wait_for_worker(worker: Member) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while " ready." not in worker.log.read_text():
        worker.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker was not ready within {READY_SECONDS} s; see {worker.log}")
        time.sleep(LOOK_SECONDS)
