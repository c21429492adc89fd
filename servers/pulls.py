"""How far the download of a container's image is: told by its driver, written to the server's row, shown by pages."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from core import tenancy
from servers.models import Server

WRITE_SECONDS = 2.0
_listener: ContextVar[Callable[[int, int], None] | None] = ContextVar("pull_listener", default=None)


def tell(done: int, total: int) -> None:
    """A driver says that so many of the image's layers are there; as often as it likes."""
    if (listener := _listener.get()) is not None and total:
        listener(done, total)


@contextmanager
def shown_of(server: Server) -> Iterator[None]:
    """Write what is told in the block, at most every two seconds, and nothing is left of it afterwards.

    What a worker left that died meanwhile is written over, or ends with this block.
    """
    written_at = 0.0
    is_shown = server.layers_total is not None

    def write(done: int | None, total: int | None) -> None:
        with tenancy.as_worker():
            Server.objects.filter(pk=server.pk).update(layers_done=done, layers_total=total)

    def listen(done: int, total: int) -> None:
        nonlocal written_at, is_shown
        if not is_shown or time.monotonic() - written_at >= WRITE_SECONDS:
            write(done, total)
            written_at, is_shown = time.monotonic(), True

    token = _listener.set(listen)
    try:
        yield
    finally:
        _listener.reset(token)
        if is_shown:
            write(None, None)
