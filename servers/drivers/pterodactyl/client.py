"""HTTP to a panel: headers, time limits, pages, and its errors as the three kinds of core.outside."""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from core import outside
from core.outside import Expect, OutsideError, OutsideResponse, OutsideSession, refuse_transaction
from servers.drivers import base
from servers.models import Provider

HEADERS = {"Accept": "application/json"}
READ_SECONDS = 20.0
WRITE_SECONDS = 40.0  # a create waits for two node calls of 15 s
BULK_SECONDS = 60.0
BULK_BYTES = 64 * 1024 * 1024  # a nest's eggs come on one page, scripts and all
PAGE_SIZE = 500  # a panel sets no limit, and counts calls
MAX_PAGES = 10_000
# The panel limits calls per minute, and a long list may need more calls than that.
MAX_RATE_LIMIT_WAIT = 90
# The panel answers for its nodes too; one that is down must not open the circuit breaker for all the others.
NODE_ERRORS = frozenset({"DaemonConnectionException"})
NOTHING_STORED = {
    "DataValidationException",
    "QueryException",
    "UniqueConstraintViolationException",
    "TwoFactorAuthRequiredException",
}
# A wrong key or a locked panel says nothing about one server: the operator mends it, and then the work goes on.
OPERATOR_STATUSES = {401, 403, 419}
# With an address that was copied together with its API every path would be answered as a record that does not exist.
_API = re.compile(r"(/api(/application|/client)?)?/*$")


class PanelClient:
    """Calls the application API and the client API of one panel."""

    def __init__(self, provider: Provider) -> None:
        credentials = provider.credentials or {}
        self._client_key = str(credentials.get("client_key") or "")
        self._application_key = str(credentials.get("application_key") or "") or self._client_key
        self._name, self._url = f"panel {provider.name}", _API.sub("", provider.base_url.rstrip("/"))

    @property
    def origin(self) -> str:
        """Of the panel's own pages."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"

    def read(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """One object of the application API. A read may be repeated."""
        session = self._session("application", self._application_key, READ_SECONDS)
        return _read(session, path, params)

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The attributes of every item of a list, page after page. The panel's own links to pages are wrong."""
        session = self._session("application", self._application_key, BULK_SECONDS, BULK_BYTES)
        for page in range(1, MAX_PAGES):
            query = {**(params or {}), "page": page, "per_page": PAGE_SIZE}
            try:
                body = _read(session, path, query)
            except outside.Unavailable as error:
                if error.status != 429 or error.retry_after is None or error.retry_after > MAX_RATE_LIMIT_WAIT:
                    raise
                time.sleep(error.retry_after + 1)  # the next minute's calls; waited for once
                body = _read(session, path, query)
            yield from items_of(body)
            page_count = ((body.get("meta") or {}).get("pagination") or {}).get("total_pages")
            if not isinstance(page_count, int) or page >= page_count:
                return
        raise outside.Rejected(f"{self._name} GET {path}: the list has no end")

    def write(self, method: str, path: str, json: Mapping[str, Any] | None = None) -> Any:
        """A write to the application API; its object, or None for an answer without one."""
        session = self._session("application", self._application_key, WRITE_SECONDS)
        expects = Expect.JSON if json is not None else Expect.NOTHING
        response = _call(session, method, path, json=json, expects=expects)
        if json is not None and not _is_object(response.body):
            raise outside.Unknown(
                f"{self._name} {method} {path}: the answer is not from the panel", status=response.status
            )
        return response.body

    def client_read(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """One object of the client API. Tried once: its node may be silent for 15 s while a page waits."""
        session = self._session("client", self._client_key, READ_SECONDS)
        try:
            return _read(session, path, params, is_repeatable=False)
        except outside.Rejected as error:
            _raise_key_not_admin(error)

    def client_read_bytes(self, path: str, params: Mapping[str, Any]) -> bytes:
        """A file of a server by the client API, 8 MiB at most."""
        session = self._session("client", self._client_key, READ_SECONDS)
        try:
            return bytes(_call(session, "GET", path, params=params, expects=Expect.BYTES).body or b"")
        except outside.Rejected as error:
            _raise_key_not_admin(error)

    def client_write(
        self,
        path: str,
        json: Mapping[str, Any] | None,
        *,
        method: str = "POST",
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        node_errors: frozenset[str] = NODE_ERRORS,
    ) -> None:
        """A write to the client API, whose answer does not matter. `node_errors` say nothing about the panel."""
        session = self._session("client", self._client_key, READ_SECONDS, node_errors=node_errors)
        headers = {"Content-Type": "text/plain"} if content is not None else None
        options = {"params": params, "content": content, "headers": headers, "expects": Expect.NOTHING}
        try:
            _call(session, method, path, json=json, **options)
        except outside.Rejected as error:
            _raise_key_not_admin(error)

    def _session(
        self,
        api: str,
        key: str,
        seconds: float,
        body_limit: int = 8 * 1024 * 1024,
        node_errors: frozenset[str] = NODE_ERRORS,
    ) -> OutsideSession:
        refuse_transaction(self._name)
        if not key:
            raise outside.Unavailable(f"{self._name}: no {api} key is set")
        headers = {**HEADERS, "Authorization": f"Bearer {key}"}
        url = f"{self._url}/api/{api}"
        options: dict[str, Any] = {
            "read_timeout": seconds,
            "body_limit": body_limit,
            "upstream_fault_codes": node_errors,
        }
        return OutsideSession(self._name, url, headers, **options)

    def client_answer(self, path: str, json: Mapping[str, Any]) -> dict[str, Any]:
        """The object that a write to the client API answers with."""
        session = self._session("client", self._client_key, READ_SECONDS)
        try:
            response = _call(session, "POST", path, json=json, expects=Expect.JSON)
        except outside.Rejected as error:
            _raise_key_not_admin(error)
        if not _is_object(response.body):
            reason = f"{self._name} POST {path}: the answer is not from the panel"
            raise outside.Unknown(reason, status=response.status)
        return dict(response.body)

    def client_delete(self, path: str) -> None:
        """Delete something of a list of the client API; already deleted is fine."""
        try:
            self.client_write(path, None, method="DELETE")
        except outside.Unavailable as error:
            if not is_not_found(error):
                raise
            # Whoever can read the list that it was in would have found it.
            self.client_read(path.rpartition("/")[0])


def _call(session: OutsideSession, method: str, path: str, **options: Any) -> OutsideResponse:
    try:
        return session.call(method, path, **options)
    except OutsideError as error:
        raise_translated(error, is_read=method == "GET")


def raise_translated(error: OutsideError, *, is_read: bool) -> NoReturn:
    """Raise the error that the panel's code means; its status alone does not say whether anything happened."""
    details: dict[str, Any] = {"status": error.status, "body": error.body, "retry_after": error.retry_after}
    details["code"] = error.code
    if error.code == "DaemonConnectionException":
        if error.status == 404:
            raise base.NotOnNode(str(error), **details) from None
        raise outside.Unavailable(str(error), **details) from None
    if error.code in NOTHING_STORED or error.status in OPERATOR_STATUSES:
        raise outside.Unavailable(str(error), **details) from None
    if isinstance(error, outside.Rejected) and error.status and "errors" not in error.body:
        kind = outside.Unavailable if is_read else outside.Unknown  # a proxy answered, not the panel
        raise kind(str(error), **details) from None
    if error.status == 409:
        raise base.WrongState(str(error), **details) from None
    raise error


def _raise_key_not_admin(error: outside.Rejected) -> NoReturn:
    """A client key that is not a root admin's finds no customer's server: the operator has to replace the key."""
    if is_not_found(error):
        reason = f"{error}; is the client key a root admin's?"
        raise outside.Unavailable(reason, status=error.status, code=error.code) from None
    raise error


def _read(
    session: OutsideSession, path: str, params: Mapping[str, Any] | None = None, *, is_repeatable: bool = True
) -> dict[str, Any]:
    response = _call(session, "GET", path, params=params, is_repeatable=is_repeatable)
    if not _is_object(response.body):
        raise outside.Unavailable(f"{session!r} GET {path}: the answer is not from the panel", status=response.status)
    return dict(response.body)


def _is_object(body: Any) -> bool:
    """Whether the panel answered; a success of another shape comes from a proxy."""
    return isinstance(body, dict) and bool({"attributes", "data"} & body.keys())


def items_of(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The attributes of a list's items."""
    listed = body.get("data")
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict) and isinstance(item.get("attributes"), dict):
            yield item["attributes"]


def related(attributes: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The attributes of included objects, such as a server's allocations.

    Raises Unavailable where the key may not read them, which is not the same as none.
    """
    included = (attributes.get("relationships") or {}).get(name) or {}
    if included.get("object") == "null_resource":
        raise outside.Unavailable(f"the application key may not read {name}")
    return list(items_of(included))


@dataclass(frozen=True)
class ValidationError:
    """A field that the panel refused, such as `environment.VERSION`, the rule it breaks, and the panel's sentence."""

    field: str
    rule: str
    detail: str


def validation_errors(error: OutsideError) -> list[ValidationError]:
    """The fields that a 422 names."""
    found = []
    for entry in error.body.get("errors") or []:
        meta = entry.get("meta") if isinstance(entry, dict) else None
        if isinstance(meta, dict):
            field, rule = str(meta.get("source_field") or ""), str(meta.get("rule") or "")
            found.append(ValidationError(field, rule, str(entry.get("detail") or rule)))
    return found


def is_not_found(error: OutsideError) -> bool:
    """Whether the panel itself says that the record does not exist; a proxy's 404 does not count."""
    return error.status == 404 and error.code == "NotFoundHttpException"
