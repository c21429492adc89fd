"""Calls to one outside system, and which error each failure becomes."""

import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from django.db import connections

from core.masking import is_secret_name, masked
from core.outside import pages
from core.outside import response as responses
from core.outside.errors import OutsideError, Rejected, Unavailable, Unknown
from core.outside.failures import unanswered
from core.outside.limits import HostLimits, limits_of
from core.outside.response import Expect, OutsideResponse, UnreadableError
from core.outside.transport import CONNECT_TIMEOUT, READ_TIMEOUT, requests_session

log = logging.getLogger("core.outside")
READS = frozenset({"GET", "HEAD", "OPTIONS"})
NOT_CARRIED_OUT = frozenset({425, 429, 503})  # statuses that promise the request was not carried out
OUTCOME_UNKNOWN = frozenset({408, 500, 501, 502, 504})
HOST_FAILURES = frozenset({None, 502, 503, 504})  # what counts against a host; a 500 may be one bad request
RETRY_PAUSES = (0.2, 0.8)
MAX_RETRY_PAUSE = 3.0
PATH = re.compile(r"/(?!/)[^\s?#\\\x00-\x1f\x7f]*")


def refuse_transaction(call: str) -> None:
    """Raise RuntimeError where a call to the outside would keep a database transaction, and its row locks, open."""
    if any(connection.in_atomic_block for connection in connections.all(initialized_only=True)):
        raise RuntimeError(f"{call} was called inside a database transaction")


@dataclass(frozen=True)
class Call:
    """One request before it is sent."""

    system: str
    method: str
    path: str
    expects: Expect
    log_path: str
    options: dict[str, Any]

    @property
    def label(self) -> str:
        """How logs and errors name it."""
        return f"{self.system} {self.method} {self.log_path or self.path}"

    def lost(self, reason: str, **details: Any) -> OutsideError:
        """The error for a request that may have been carried out and has no usable response."""
        kind = Unavailable if self.method in READS else Unknown
        return kind(f"{self.label}: {reason}", **details)


class OutsideSession:
    """Calls one outside system under `base_url`; cheap to make, safe to share between threads.

    `not_carried_out` are the statuses by which this vendor promises that a write was not carried out.
    `upstream_fault_codes` are the error codes by which it reports that a system behind it failed; they do not count
    against the host. Times are seconds.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        total_timeout: float = 90.0,
        body_limit: int = 8 * 1024 * 1024,
        not_carried_out: frozenset[int] = NOT_CARRIED_OUT,
        upstream_fault_codes: frozenset[str] = frozenset(),
        limits: HostLimits | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"the address of {name} must be an http(s) URL without a query")
        self._name, self._base_url = name, base_url.rstrip("/")
        self._host = parts.hostname
        self._headers = dict(headers or {})
        self._requests = requests_session(connect_timeout=connect_timeout, read_timeout=read_timeout)
        self._total_timeout, self._body_limit, self._not_carried_out = total_timeout, body_limit, not_carried_out
        self._upstream_fault_codes = upstream_fault_codes
        self._limits = limits or limits_of(f"{parts.scheme}://{parts.hostname}:{parts.port or ''}")
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"<OutsideSession {self._name} {self._host}>"

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        is_repeatable: bool = False,
        expects: Expect = Expect.JSON,
        log_path: str = "",
    ) -> OutsideResponse:
        """The response to one request, 2xx only; Unavailable, Unknown or Rejected otherwise.

        Only a call declared repeatable is tried again here (twice, briefly). `log_path` is what logs and errors show
        in place of a path that is itself a secret.
        """
        if not PATH.fullmatch(path) or ".." in path.split("/"):
            raise ValueError(f"{self._name}: a path begins with one slash and has no query, dots or spaces")
        options = {"params": params, "json": json, "data": content if form is None else form}
        options["headers"] = self._headers | dict(headers or {})
        call = Call(self._name, method.upper(), path, expects, log_path, options)
        return self._call_with_retries(call) if is_repeatable else self._call_once(call)

    def _call_with_retries(self, call: Call) -> OutsideResponse:
        unknown: Unknown | None = None
        for pause in RETRY_PAUSES:
            try:
                return self._call_once(call)
            except (Unavailable, Unknown) as error:
                unknown = error if isinstance(error, Unknown) else unknown
                wait = pause * (1 + random.random()) if error.retry_after is None else error.retry_after  # noqa: S311
                if wait > MAX_RETRY_PAUSE:
                    raise unknown or error from None
                self._sleep(wait)
        try:
            return self._call_once(call)
        except Unavailable as error:
            # An earlier try may have been carried out, so "nothing happened" would be wrong.
            raise unknown or error from None

    def _call_once(self, call: Call) -> OutsideResponse:
        with self._limits.slot(call.label):
            began = time.monotonic()
            try:
                response = self._exchange(call)
            except OutsideError as error:
                is_rejection = isinstance(error, Rejected)
                is_own_fault = error.code not in self._upstream_fault_codes
                if not is_rejection and error.status in HOST_FAILURES and is_own_fault:
                    self._limits.breaker.record_failure()
                elif error.status is not None:
                    self._limits.breaker.record_success()
                self._log(call, f"{type(error).__name__} {error.status or ''}".strip(), began)
                raise
            self._limits.breaker.record_success()
            self._log(call, str(response.status), began)
            return response

    def _log(self, call: Call, outcome: str, began: float) -> None:
        milliseconds = round((time.monotonic() - began) * 1000)
        log.info("%s at %s: %s, %d ms", call.label, self._host, outcome, milliseconds)

    def _exchange(self, call: Call) -> OutsideResponse:
        """Send the request and read the response. Raises one of the three errors for anything but a usable 2xx."""
        try:
            response = self._requests.request(call.method, self._base_url + call.path, stream=True, **call.options)
        except requests.RequestException as error:
            raise unanswered(call.label, error, is_read=call.method in READS) from None
        with response:
            is_success = 200 <= response.status_code < 300
            try:
                seconds = pages.at_most(self._total_timeout)
                content = responses.read_body(response, limit=self._body_limit, seconds=seconds)
                if is_success:
                    body = responses.parse_body(response, content, call.expects)
                    return OutsideResponse(response.status_code, body, response.headers)
            except (UnreadableError, requests.RequestException) as error:
                if is_success:
                    is_unreadable = isinstance(error, UnreadableError)
                    reason = str(error) if is_unreadable else "the connection dropped in the answer"
                    raise call.lost(reason, status=response.status_code) from None
                content = b""  # the status alone decides
            raise self._status_error(call, response, content)

    def _status_error(self, call: Call, response: requests.Response, content: bytes) -> OutsideError:
        """The error for a response with another status than 2xx."""
        headers: Mapping[str, str] = call.options["headers"]
        credentials = [str(value).split(" ")[-1] for name, value in headers.items() if is_secret_name(name)]
        # The other system may repeat our credentials in its error: they are masked there too.
        echoed = tuple(secret for secret in credentials if len(secret) >= 8)
        body = masked(responses.error_body(content), echoed)
        status, code = response.status_code, responses.error_code(body)
        reason = f"{status} {code}".strip()
        wait = responses.retry_after(response.headers)
        if status in self._not_carried_out:
            return Unavailable(f"{call.label}: {reason}", status=status, body=body, retry_after=wait, code=code)
        if status in OUTCOME_UNKNOWN or status > 504:
            return call.lost(reason, status=status, body=body, retry_after=wait, code=code)
        return Rejected(f"{call.label}: {reason}", status=status, body=body, retry_after=wait, code=code)
