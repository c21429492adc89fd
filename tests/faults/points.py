"""Where a process may be killed: before and after every commit and every outside call, each with a name.

`watch` sees Django's commits, the writes that commit by themselves, and every HTTP request, and calls `reach(name)` around
each. A name is what happens and which of our functions does it, with a count where it happens again:
`after commit in billing.payments.settle`, `before POST /v1/customers in billing.gateways.stripe.customers.ensure #2`.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
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


@contextmanager
def watch(reach: Reach) -> Iterator[None]:
    """Call `reach` with each point's name as this process comes to it."""
    seen: Counter[str] = Counter()

    def around(what: str, act: Callable[[], Any]) -> Any:
        where = f"{what} in {_function()}"
        seen[where] += 1
        name = where if seen[where] == 1 else f"{where} #{seen[where]}"
        reach(f"before {name}")
        result = act()
        reach(f"after {name}")
        return result

    with _patched_commits(around), _patched_writes(around), _patched_requests(around):
        yield


def _patched_commits(around: Callable[[str, Callable[[], Any]], Any]) -> Any:
    commit = BaseDatabaseWrapper._commit

    def named(self: BaseDatabaseWrapper) -> Any:
        return around("commit", lambda: commit(self))

    return patch.object(BaseDatabaseWrapper, "_commit", named)


def _patched_writes(around: Callable[[str, Callable[[], Any]], Any]) -> Any:
    execute = CursorWrapper._execute_with_wrappers

    def named(self: CursorWrapper, sql: Any, params: Any, many: Any, executor: Any) -> Any:
        if self.db.in_atomic_block or not WRITES.match(str(sql)):
            return execute(self, sql, params, many, executor)
        return around(f"{str(sql).split()[0].lower()}", lambda: execute(self, sql, params, many, executor))

    return patch.object(CursorWrapper, "_execute_with_wrappers", named)


def _patched_requests(around: Callable[[str, Callable[[], Any]], Any]) -> Any:
    send = HTTPAdapter.send

    def named(self: HTTPAdapter, request: Any, *args: Any, **kwargs: Any) -> Any:
        path = IDS.sub("…", urlsplit(request.url).path)
        return around(f"{request.method} {path}", lambda: send(self, request, *args, **kwargs))

    return patch.object(HTTPAdapter, "send", named)


def _function() -> str:
    """The innermost of our functions on the stack that is not plumbing."""
    frame = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT):
            local = path.relative_to(ROOT).as_posix()
            if local.split("/")[0] in APPS and not local.startswith(PLUMBING):
                return f"{local.removesuffix('.py').replace('/', '.')}.{frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "the test"
