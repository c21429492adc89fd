"""Keeping the lease of work that takes longer than it, for as long as its worker lives."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import Error as DatabaseError
from django.db import connection

from core.models import WorkItem

log = logging.getLogger(__name__)
RENEWALS_PER_LEASE = 3


@contextmanager
def renewed(items: Sequence[WorkItem]) -> Iterator[None]:
    """Renew the leases of items in another thread while the block runs. A process that is killed renews nothing, so
    another worker takes its work over as soon as the short lease ends.
    """
    is_over = threading.Event()
    thread = threading.Thread(target=_renew, args=(list(items), is_over), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()  # so that the leases that the caller then ends are the last ones


def _renew(items: list[WorkItem], is_over: threading.Event) -> None:
    interval = items[0].LEASE / RENEWALS_PER_LEASE
    while items and not is_over.wait(interval.total_seconds()):
        try:
            items = [item for item in items if item.renew(interval)]
        except DatabaseError as error:
            log.warning("the leases of %s were not renewed: %s", items, error)
        finally:
            connection.close()  # the pool has few, and the work itself needs one
