"""One call through a vendor's library that has a requests session of its own, under the rules of all others."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from core.outside.failures import lost, unanswered
from core.outside.limits import limits_of
from core.outside.session import HOST_FAILURES, refuse_transaction

log = logging.getLogger("core.outside")


@contextmanager
def library_call(label: str, origin: str, *, is_read: bool) -> Iterator[None]:
    """What the block does is one call to `origin`: never in a transaction, within the host's limits, and logged.

    Without a usable answer it raises Unavailable, Unknown or Rejected. An answer with an error status passes as the
    library's own exception, where that is a `requests.HTTPError`: only its driver knows what the status means.
    """
    refuse_transaction(label)
    limits = limits_of(origin)
    with limits.slot(label):
        began, outcome = time.monotonic(), "answered"
        try:
            yield
            limits.breaker.record_success()
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else None
            outcome = str(status)
            if status in HOST_FAILURES:
                limits.breaker.record_failure()
            else:
                limits.breaker.record_success()
            raise
        except requests.RequestException as error:
            failure = unanswered(label, error, is_read=is_read)
            outcome = type(failure).__name__
            limits.breaker.record_failure()
            raise failure from None
        except (KeyError, ValueError):  # such as an error whose body has not what the library looks for
            outcome = "unreadable"
            limits.breaker.record_failure()
            raise lost(label, "the answer is not understood", is_read=is_read) from None
        finally:
            log.info("%s: %s, %d ms", label, outcome, round((time.monotonic() - began) * 1000))
