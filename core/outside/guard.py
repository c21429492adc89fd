"""The rule that keeps row locks off the network."""

import logging

from django.conf import settings
from django.db import connection

log = logging.getLogger(__name__)


def refuse_transaction(call: str) -> None:
    """Stop a call to the outside that would hold a transaction open while the network takes its time.

    A mistake of ours, so development and tests fail; in production the call goes ahead and the log says so.
    """
    if not connection.in_atomic_block:
        return
    if settings.DEBUG or getattr(settings, "IS_TESTING", False):
        raise RuntimeError(f"{call} was called inside a database transaction")
    log.error("%s was called inside a database transaction", call)
