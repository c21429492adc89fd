"""The workers' side of a story, as time really goes by."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from django.utils import timezone

from tests.shop import run_once

ROUND_SECONDS = 0.15


@contextmanager
def at_work() -> Iterator[None]:
    """Do everything due, round after round, beside what happens meanwhile; what failed there is raised at the end."""
    ended, failures = threading.Event(), []

    def work() -> None:
        try:
            while not ended.wait(ROUND_SECONDS):
                run_once(timezone.now())
        except Exception as error:  # told to the test below
            failures.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if failures:
        raise failures[0]
