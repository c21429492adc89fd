"""A page waits for nobody: only a view that says so may call another system, and only for some seconds in all.

Everything else asks a worker, and shows what the worker last wrote. So a system that hangs makes no page slow.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

PAGE_SECONDS = 10.0  # for all calls of one page together


@dataclass
class Page:
    """The web request that runs now."""

    may_call: bool = False
    ends_at: float = 0.0  # by the monotonic clock


_page: ContextVar[Page | None] = ContextVar("page", default=None)


def calls_outside[View: Callable[..., object]](view: View) -> View:
    """Mark a view that cannot answer without another system: its visitor is sent to a page there."""
    view.may_call_outside = True  # type: ignore[attr-defined]
    return view


@contextmanager
def page() -> Iterator[Page]:
    """What runs in the block answers a web request."""
    token = _page.set(Page(ends_at=time.monotonic() + PAGE_SECONDS))
    try:
        yield _page.get() or Page()
    finally:
        _page.reset(token)


def refuse_page(call: str) -> None:
    """Raise RuntimeError where a page would wait for another system without saying so (`calls_outside`)."""
    current = _page.get()
    if current is not None and not current.may_call:
        raise RuntimeError(f"{call} was called by a page, which would wait for the answer")


def at_most(seconds: float) -> float:
    """The seconds; less where a page that waits has less left. 0 when it has waited long enough."""
    current = _page.get()
    return seconds if current is None else max(0.0, min(seconds, current.ends_at - time.monotonic()))
