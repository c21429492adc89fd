"""Keeping the lease of work that takes longer than it, for as long as its worker lives."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error as DatabaseError
from django.db import connection

from core.models import WorkItem

log = logging.getLogger(__name__)
RENEWALS_PER_LEASE = 3


@contextmanager
def renewed(item: WorkItem) -> Iterator[None]:
    """Renew the item's lease in another thread while the block runs. A process that is killed renews nothing, so
    another worker takes its work over as soon as the short lease ends.
    """
    if not item.IS_RENEWED:
        yield
        return
    is_over = threading.Event()
    thread = threading.Thread(target=_renew, args=(item, is_over), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()  # so that the lease that the caller then ends is the last one


def _renew(item: WorkItem, is_over: threading.Event) -> None:
    interval = item.LEASE / RENEWALS_PER_LEASE
    is_kept, is_connected = True, False
    while is_kept and not is_over.wait(interval.total_seconds()):
        is_connected = True
        try:
            is_kept = item.renew(interval)
        except DatabaseError as error:
            log.warning("the lease of %s %s was not renewed: %s", item._meta.label, item.pk, error)
            connection.close()
    if is_connected:
        connection.close()
