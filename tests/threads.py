"""Running one act in several threads at once, each with a database connection of its own."""

import threading
from collections.abc import Callable

from django.db import connection


def run_at_once(act: Callable[[], object], *, times: int) -> list[Exception]:
    """Run the act in that many threads, wait for all, and return what they raised."""
    failures: list[Exception] = []

    def run() -> None:
        try:
            act()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
