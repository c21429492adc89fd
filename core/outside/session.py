"""Calls to one outside system, and what became of them."""

import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from core.masking import is_secret_name, masked
from core.outside import answer as answers
from core.outside.answer import Answer, Expect, UnreadableError
from core.outside.errors import OutsideError, Rejected, Unavailable, Unknown
from core.outside.gate import Gate, gate_of
from core.outside.plain import CONNECT_TIMEOUT, READ_TIMEOUT, requests_session
from core.outside.reach import NotPublicError, Reach

log = logging.getLogger("core.outside")
READS = frozenset({"GET", "HEAD", "OPTIONS"})
NOTHING_DONE = frozenset({425, 429, 503})  # statuses that promise the request was not carried out
NOBODY_HOME = frozenset({None, 502, 503, 504})  # what counts against a host; a 500 may be one bad request
LOST = frozenset({408, 500, 501, 502, 504})
PAUSES = (0.2, 0.8)
MAX_PAUSE = 3.0
_PATH = re.compile(r"/(?!/)[^\s?#\\\x00-\x1f\x7f]*")


@dataclass(frozen=True)
class _Call:
    """One request before it is sent."""

    system: str
    method: str
    path: str
    is_repeatable: bool
    expects: Expect
    log_path: str
    options: dict[str, Any]

    @property
    def label(self) -> str:
        """What logs and errors call it."""
        return f"{self.system} {self.method} {self.log_path or self.path}"

    def lost(self, reason: str, **details: Any) -> OutsideError:
        """No trustworthy answer came to a request that may have been carried out."""
        kind = Unavailable if self.method in READS else Unknown
        return kind(f"{self.label}: {reason}", **details)


class Session:
    """Calls one outside system under `base_url`; cheap to make, safe to share between threads.

    `nothing_done` are the statuses by which this vendor promises that a write was not carried out; `others_fault` the
    codes by which it tells that a system behind it failed, which does not count against it. Times are seconds.
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
        nothing_done: frozenset[int] = NOTHING_DONE,
        others_fault: frozenset[str] = frozenset(),
        reach: Reach = Reach.ANYWHERE,
        gate: Gate | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"the address of {name} must be an http(s) URL without a query")
        self._name, self._base_url = name, base_url.rstrip("/")
        self._host = parts.hostname
        self._headers = dict(headers or {})
        self._requests = requests_session(reach=reach, connect_timeout=connect_timeout, read_timeout=read_timeout)
        self._total_timeout, self._body_limit, self._nothing_done = total_timeout, body_limit, nothing_done
        self._others_fault = others_fault
        self._gate = gate or gate_of(f"{parts.scheme}://{parts.hostname}:{parts.port or ''}")
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"<Session {self._name} {self._host}>"

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
    ) -> Answer:
        """The answer to one request, 2xx only; Unavailable, Unknown or Rejected otherwise.

        Only a call declared repeatable is tried again here (twice, briefly). `log_path` is what logs and errors show
        in place of a path that is itself a secret.
        """
        if not _PATH.fullmatch(path) or ".." in path.split("/"):
            raise ValueError(f"{self._name}: a path begins with one slash and has no query, dots or spaces")
        options = {"params": params, "json": json, "data": content if form is None else form}
        options["headers"] = self._headers | dict(headers or {})
        call = _Call(self._name, method.upper(), path, is_repeatable, expects, log_path, options)
        return self._repeated(call) if is_repeatable else self._attempt(call)

    def _repeated(self, call: _Call) -> Answer:
        lost: Unknown | None = None
        for pause in PAUSES:
            try:
                return self._attempt(call)
            except (Unavailable, Unknown) as error:
                lost = error if isinstance(error, Unknown) else lost
                wait = pause * (1 + random.random()) if error.retry_after is None else error.retry_after  # noqa: S311
                if wait > MAX_PAUSE:
                    raise lost or error from None
                self._sleep(wait)
        try:
            return self._attempt(call)
        except Unavailable as error:
            # A try before this one may have been carried out, so "nothing happened" would be a lie.
            raise lost or error from None

    def _attempt(self, call: _Call) -> Answer:
        with self._gate.entered(call.label):
            began = time.monotonic()
            try:
                answer = self._exchange(call)
            except OutsideError as error:
                self._note(call, error, began)
                raise
            self._gate.breaker.succeeded()
            self._log(call, str(answer.status), began)
            return answer

    def _note(self, call: _Call, error: OutsideError, began: float) -> None:
        is_refusal = isinstance(error, Rejected)
        if not is_refusal and error.status in NOBODY_HOME and error.code not in self._others_fault:
            self._gate.breaker.failed()
        elif error.status is not None:
            self._gate.breaker.succeeded()
        self._log(call, f"{type(error).__name__} {error.status or ''}".strip(), began)

    def _log(self, call: _Call, outcome: str, began: float) -> None:
        milliseconds = round((time.monotonic() - began) * 1000)
        log.info("%s at %s: %s, %d ms", call.label, self._host, outcome, milliseconds)

    def _exchange(self, call: _Call) -> Answer:
        try:
            response = self._requests.request(call.method, self._base_url + call.path, stream=True, **call.options)
        except NotPublicError as error:
            raise Rejected(f"{call.label}: not sent, {error}") from None
        except requests.RequestException as error:
            raise _transport_error(call, error) from None  # the original's text holds the whole URL
        with response:
            return self._judged(call, response)

    def _judged(self, call: _Call, response: requests.Response) -> Answer:
        is_success = 200 <= response.status_code < 300
        try:
            content = answers.read(response, limit=self._body_limit, seconds=self._total_timeout)
            if is_success:
                body = answers.parse(response, content, call.expects)
                return Answer(response.status_code, body, response.headers)
        except (UnreadableError, requests.RequestException) as error:
            if is_success:
                reason = str(error) if isinstance(error, UnreadableError) else "the connection dropped in the answer"
                raise call.lost(reason, status=response.status_code) from None
            content = b""  # the status alone decides
        raise self._refusal(call, response, content)

    def _refusal(self, call: _Call, response: requests.Response, content: bytes) -> OutsideError:
        body = masked(answers.error_body(content), _secrets_in(call.options["headers"]))
        status, code = response.status_code, answers.error_code(body)
        reason = f"{status} {code}".strip()
        wait = answers.retry_after(response.headers)
        if status in self._nothing_done:
            return Unavailable(f"{call.label}: {reason}", status=status, body=body, retry_after=wait, code=code)
        if status in LOST or status > 504:
            return call.lost(reason, status=status, body=body, retry_after=wait, code=code)
        return Rejected(f"{call.label}: {reason}", status=status, body=body, retry_after=wait, code=code)


def _transport_error(call: _Call, error: requests.RequestException) -> OutsideError:
    """What a failure below HTTP means: whether the request can have left us decides."""
    if _is_before_sending(error):
        return Unavailable(f"{call.label}: no connection")
    if isinstance(error, requests.Timeout):
        return call.lost("no answer in time")
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return call.lost("the connection dropped before the answer")
    return Rejected(f"{call.label}: not sent, {type(error).__name__}")


def _is_before_sending(error: requests.RequestException) -> bool:
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(error, requests.exceptions.SSLError):
        return "CERTIFICATE_VERIFY_FAILED" in str(reason) or "WRONG_VERSION_NUMBER" in str(reason)
    is_unconnected = isinstance(reason, NewConnectionError | ConnectTimeoutError)
    return is_unconnected or isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError)


def _secrets_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The credentials themselves, to be cut out should the other side echo them."""
    values = [str(value).split(" ")[-1] for name, value in headers.items() if is_secret_name(name)]
    return tuple(value for value in values if len(value) >= 8)
