"""Running one act in several threads at once, each with a database connection of its own."""

import threading
from collections.abc import Callable

from django.db import connections

WAIT_SECONDS = 60


def run_at_once(act: Callable[[], object], *, times: int) -> list[BaseException]:
    """Run the act in that many threads that begin together, wait for all, and return what they raised."""
    start, errors = threading.Barrier(times), list[BaseException]()

    def run() -> None:
        try:
            start.wait(timeout=WAIT_SECONDS)
            act()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=WAIT_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    return errors
