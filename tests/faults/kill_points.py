"""Where a process may be killed: after every commit and after every outside call, each with a name.

`watch` sees Django's commits, the writes that commit by themselves, and every HTTP request, and calls `on_point(name)`
when one has happened and the caller does not know of it yet. Between two such points nothing lasting happens, so being
killed just before one is the same as being killed just after the one before it. What wrote no row is no point.

A name says what happened and in which of our functions, with a count where it happens again:
`commit in billing.payments.settle`, `POST /stripe/v1/refunds in billing.gateways.stripe.refunds.ask #2`.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from requests.adapters import HTTPAdapter

ROOT = Path(__file__).resolve().parents[2]
APPS = {"core", "accounts", "catalog", "billing", "servers", "orders", "support", "nodebyte"}
INFRASTRUCTURE = (
    "core/tenancy/",
    "core/outside/",
    "core/postgresql/",
    "core/audit.py",
    "core/site_settings.py",
    "billing/gateways/stripe/client.py",
    "servers/drivers/pterodactyl/client.py",
    "servers/drivers/digitalocean/client.py",
)
BEGINS = re.compile(r"\s*(INSERT|UPDATE|DELETE|MERGE|WITH)\b", re.IGNORECASE)
WRITE = re.compile(r"(?<!FOR )(?<!KEY )\b(INSERT INTO|UPDATE|DELETE FROM|MERGE INTO)\s+\"?(\w+)", re.IGNORECASE)
IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b(cs|pi|cus|ch|re|sub|in|evt|pm)_\w+|(?<=/)([0-9a-f]{8}|\d+)(?=/|$)")

type OnPoint = Callable[[str], None]


@contextmanager
def watch(on_point: OnPoint) -> Iterator[None]:
    """Call `on_point` with each point's name as this process comes to it."""
    seen: Counter[str] = Counter()

    def on_event(what: str) -> None:
        function = _function()
        if function is None:
            return
        where = f"{what} in {function}"
        seen[where] += 1
        on_point(where if seen[where] == 1 else f"{where} #{seen[where]}")

    with _watched_database(on_event), _watched_requests(on_event):
        yield


@contextmanager
def _watched_database(on_event: OnPoint) -> Iterator[None]:
    execute: Any = CursorWrapper._execute_with_wrappers  # type: ignore[attr-defined]
    commit: Any = BaseDatabaseWrapper._commit  # type: ignore[attr-defined]
    written: set[BaseDatabaseWrapper] = set()

    def watched_execute(self: CursorWrapper, sql: Any, *args: Any, **kwargs: Any) -> Any:
        result = execute(self, sql, *args, **kwargs)
        write = WRITE.search(str(sql)) if BEGINS.match(str(sql)) else None
        if write and self.cursor.rowcount:
            if self.db.in_atomic_block:
                written.add(self.db)
            else:
                on_event(f"{write[1].split()[0].lower()} {write[2]}")
        return result

    def watched_commit(self: BaseDatabaseWrapper) -> Any:
        result = commit(self)
        if self in written:
            written.discard(self)
            on_event("commit")
        return result

    with (
        patch.object(CursorWrapper, "_execute_with_wrappers", watched_execute),
        patch.object(BaseDatabaseWrapper, "_commit", watched_commit),
    ):
        yield


@contextmanager
def _watched_requests(on_event: OnPoint) -> Iterator[None]:
    send = HTTPAdapter.send

    def watched(self: HTTPAdapter, request: Any, *args: Any, **kwargs: Any) -> Any:
        answer = send(self, request, *args, **kwargs)
        on_event(f"{request.method} {IDS.sub('…', urlsplit(request.url).path)}")
        return answer

    with patch.object(HTTPAdapter, "send", watched):
        yield


def _function() -> str | None:
    """The innermost of our functions on the stack that is not infrastructure; None where only the test acts."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and not frame.f_code.co_name.startswith("<"):
            local = path.relative_to(ROOT).as_posix()
            if local.split("/")[0] in APPS and not local.startswith(INFRASTRUCTURE):
                return f"{local.removesuffix('.py').replace('/', '.')}.{frame.f_code.co_name}"
        frame = frame.f_back
    return None
