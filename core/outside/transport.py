"""The configured `requests.Session` under every call; vendors' libraries use it too."""

import logging
import os
import ssl
import threading
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from core.outside import pages

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 30.0
POOLED_HOSTS = 32
POOLED_CONNECTIONS = 16
_pool: HTTPAdapter | None = None
_pool_lock = threading.Lock()
logging.getLogger("urllib3").setLevel(logging.INFO)  # its debug lines hold whole URLs


class _LimitedSession(requests.Session):
    """A session with time limits on every call; no cookies, no redirects, no proxies from the environment."""

    def __init__(self, timeout: tuple[float, float]) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._timeout = timeout

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send with a time limit, also when the caller gave none; in a page with what is left of the page's."""
        limit = options.get("timeout") or self._timeout
        connect, read = limit if isinstance(limit, tuple) else (limit, limit)
        connect, read = pages.at_most(connect), pages.at_most(read)
        if not connect:
            raise requests.ConnectTimeout("not sent: the page has waited long enough")
        options["timeout"] = connect, read
        return super().send(request, **options)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """No redirect is ever followed: a 3xx response is returned as it is."""


def requests_session(
    *, connect_timeout: float = CONNECT_TIMEOUT, read_timeout: float = READ_TIMEOUT
) -> requests.Session:
    """A configured session for a library that takes one. All sessions share one pool."""
    global _pool
    session = _LimitedSession((connect_timeout, read_timeout))
    with _pool_lock:
        if _pool is None:
            _pool = HTTPAdapter(pool_connections=POOLED_HOSTS, pool_maxsize=POOLED_CONNECTIONS, max_retries=0)
        session.mount("https://", _pool)
        session.mount("http://", _pool)
    return session


class _CertificateAdapter(HTTPAdapter):
    """Connections with one TLS context, which alone decides whom to trust."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """With our context."""
        super().init_poolmanager(*arguments, ssl_context=self._context, **options)

    def cert_verify(self, *_: Any) -> None:
        """Add no other authority to those of the context."""


def certificate_adapter(*, authority: str, certificate: str, key: str) -> HTTPAdapter:
    """Connections to systems of one authority that ask for this certificate, all as PEM text.

    No other authority is trusted. Raises ValueError where the texts are no such things or do not fit together.
    """
    if not authority.strip():
        raise ValueError("there is no authority, so every public one would be trusted")
    try:
        context = ssl.create_default_context(cadata=authority)
        # Python reads a certificate from files only; they are gone before this returns.
        with TemporaryDirectory() as folder:
            paths = Path(folder, "certificate"), Path(folder, "key")
            for path, text in zip(paths, (certificate, key), strict=True):
                path.write_text(text)
            context.load_cert_chain(*paths, password="")  # an encrypted key is refused, not asked about
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"a certificate or its key cannot be read: {type(error).__name__}") from None
    return _CertificateAdapter(context)


def reset_pool() -> None:
    """Start again without connections. A forked process must: two processes on one would read each other's data."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


os.register_at_fork(after_in_child=reset_pool)
