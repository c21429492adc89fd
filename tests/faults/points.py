"""Where a process may be killed: before and after every commit and every outside call, each with a name.

`watch` sees Django's commits, the writes that commit by themselves, and every HTTP request, and calls `reach(name)`
around each. A name is what happens and which of our functions does it, with a count where it happens again:
`after commit in billing.payments.settle`, `before POST /stripe/v1/refunds in billing.gateways.stripe.refunds.ask`.
A commit that wrote nothing is no point: losing it loses nothing.
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
PLUMBING = ("core/tenancy/", "core/outside/", "core/postgresql/", "core/audit.py", "core/site_settings.py")
WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|MERGE|WITH)\b", re.IGNORECASE)
IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b(cs|pi|cus|ch|re|sub|in|evt|pm)_\w+|(?<=/)\d+(?=/|$)")

type Reach = Callable[[str], None]
type Act = Callable[[], Any]
type Around = Callable[[str, Act], Any]


@contextmanager
def watch(reach: Reach) -> Iterator[None]:
    """Call `reach` with each point's name as this process comes to it."""
    seen: Counter[str] = Counter()

    def around(what: str, act: Act) -> Any:
        function = _function()
        if function is None:
            return act()
        where = f"{what} in {function}"
        seen[where] += 1
        name = where if seen[where] == 1 else f"{where} #{seen[where]}"
        reach(f"before {name}")
        result = act()
        reach(f"after {name}")
        return result

    with _patched_database(around), _patched_requests(around):
        yield


@contextmanager
def _patched_database(around: Around) -> Iterator[None]:
    execute, commit = CursorWrapper._execute_with_wrappers, BaseDatabaseWrapper._commit
    written: set[BaseDatabaseWrapper] = set()

    def named_execute(self: CursorWrapper, sql: Any, *args: Any, **kwargs: Any) -> Any:
        if not WRITES.match(str(sql)):
            return execute(self, sql, *args, **kwargs)
        if self.db.in_atomic_block:
            written.add(self.db)
            return execute(self, sql, *args, **kwargs)
        return around(str(sql).split()[0].lower(), lambda: execute(self, sql, *args, **kwargs))

    def named_commit(self: BaseDatabaseWrapper) -> Any:
        if self not in written:
            return commit(self)
        written.discard(self)
        return around("commit", lambda: commit(self))

    with (
        patch.object(CursorWrapper, "_execute_with_wrappers", named_execute),
        patch.object(BaseDatabaseWrapper, "_commit", named_commit),
    ):
        yield


@contextmanager
def _patched_requests(around: Around) -> Iterator[None]:
    send = HTTPAdapter.send

    def named(self: HTTPAdapter, request: Any, *args: Any, **kwargs: Any) -> Any:
        path = IDS.sub("…", urlsplit(request.url).path)
        return around(f"{request.method} {path}", lambda: send(self, request, *args, **kwargs))

    with patch.object(HTTPAdapter, "send", named):
        yield


def _function() -> str | None:
    """The innermost of our functions on the stack that is not plumbing; None where only the test itself acts."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT):
            local = path.relative_to(ROOT).as_posix()
            if local.split("/")[0] in APPS and not local.startswith(PLUMBING):
                return f"{local.removesuffix('.py').replace('/', '.')}.{frame.f_code.co_name}"
        frame = frame.f_back
    return None
