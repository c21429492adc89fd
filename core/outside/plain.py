"""The plain `requests.Session` underneath, also lent to vendors' libraries."""

import logging
import os
import threading
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from core.outside.reach import Reach, adapter

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
_pools: dict[Reach, HTTPAdapter] = {}
_pools_lock = threading.Lock()
logging.getLogger("urllib3").setLevel(logging.INFO)  # its debug lines hold whole URLs


class _PlainSession(requests.Session):
    """A session with time limits on every call; no cookies, no redirects, no environment."""

    def __init__(self, timeout: tuple[float, float]) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._timeout = timeout

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send with a time limit, whether the caller thought of one or not."""
        options["timeout"] = options.get("timeout") or self._timeout
        return super().send(request, **options)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """No redirect is ever followed: the answer with its 3xx status is returned as it is."""


def requests_session(
    *, reach: Reach = Reach.ANYWHERE, connect_timeout: float = CONNECT_TIMEOUT, read_timeout: float = READ_TIMEOUT
) -> requests.Session:
    """A configured session for a library (`stripe.RequestsClient(session=…)`); connections are shared by all."""
    session = _PlainSession((connect_timeout, read_timeout))
    pool = _pool(reach)
    session.mount("https://", pool)
    session.mount("http://", pool)
    return session


def _pool(reach: Reach) -> HTTPAdapter:
    with _pools_lock:
        if reach not in _pools:
            _pools[reach] = adapter(reach)
        return _pools[reach]


def forget_pools() -> None:
    """Begin anew, as a forked process must: two processes on one connection would read each other's answers."""
    global _pools_lock
    _pools_lock = threading.Lock()
    _pools.clear()


os.register_at_fork(after_in_child=forget_pools)
