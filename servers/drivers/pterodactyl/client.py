"""HTTP to a panel: headers, time limits, pages, and its errors in our three kinds."""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from core import outside
from core.outside import Expect, OutsideError, OutsideResponse, OutsideSession
from servers.drivers import base, guard
from servers.models import Provider

HEADERS = {"Accept": "application/json"}
READ_SECONDS = 20.0
WRITE_SECONDS = 40.0  # a create waits for two node calls of 15 s
BULK_SECONDS = 60.0
BULK_BYTES = 64 * 1024 * 1024  # a nest's eggs come on one page, scripts and all
PAGE_SIZE = 100
MAX_PAGES = 10_000
# The panel counts calls by the minute, and a long list may need more than one minute's share of them.
MAX_WINDOW = 90
# The panel answers for its nodes too; a dead one must not keep us from asking it about all the others.
NODES_FAULT = frozenset({"DaemonConnectionException"})
STORED_NOTHING = {"DataValidationException", "QueryException", "UniqueConstraintViolationException"}
# A wrong key or a locked panel says nothing about one server: it is for the operator to mend, and then to go on.
OPERATORS = {401, 403, 419}
# An address copied together with its API would make every path unknown, and the panel says so as of a missing record.
_API = re.compile(r"(/api(/application|/client)?)?/*$")


class PanelClient:
    """Calls the application API and the client API of one panel."""

    def __init__(self, provider: Provider) -> None:
        credentials = provider.credentials or {}
        self._client_key = str(credentials.get("client_key") or "")
        self._application_key = str(credentials.get("application_key") or "") or self._client_key
        self.has_client_key = bool(self._client_key)
        self._name, self._url = f"panel {provider.name}", _API.sub("", provider.base_url.rstrip("/"))

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """One object of the application API. A read may be repeated."""
        session = self._session("application", self._application_key, READ_SECONDS)
        return _read(session, path, params)

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Every attribute set of a list, page after page; we build the next page's address, for the panel's lies."""
        session = self._session("application", self._application_key, BULK_SECONDS, BULK_BYTES)
        for page in range(1, MAX_PAGES):
            asked = {**(params or {}), "page": page, "per_page": PAGE_SIZE}
            body = _read_patiently(session, path, asked)
            yield from items_of(body)
            if page >= _page_count(body):
                return
        raise outside.Rejected(f"{self._name} GET {path}: the list has no end")

    def send(self, method: str, path: str, json: Mapping[str, Any] | None = None) -> Any:
        """A write to the application API; its object, or None for an answer without one."""
        session = self._session("application", self._application_key, WRITE_SECONDS)
        expects = Expect.JSON if json is not None else Expect.NOTHING
        answer = _called(session, method, path, json=json, expects=expects)
        if json is not None and not _is_object(answer.body):
            raise outside.Unknown(f"{self._name} {method} {path}: the answer is not the panel's", status=answer.status)
        return answer.body

    def ask_client(self, path: str) -> Any:
        """One object of the client API, asked for once: behind it a node may be silent for 15 s, and a page waits."""
        session = self._session("client", self._client_key, READ_SECONDS)
        try:
            return _read(session, path, is_repeatable=False)
        except outside.Rejected as error:
            _raise_key_sees_nothing(error)

    def tell_client(self, path: str, json: Mapping[str, Any]) -> None:
        """A write to the client API."""
        session = self._session("client", self._client_key, READ_SECONDS)
        try:
            _called(session, "POST", path, json=json, expects=Expect.NOTHING)
        except outside.Rejected as error:
            _raise_key_sees_nothing(error)

    def _session(self, api: str, key: str, seconds: float, body_limit: int = 8 * 1024 * 1024) -> OutsideSession:
        guard.refuse_transaction()
        if not key:
            raise outside.Unavailable(f"{self._name}: no {api} key is set")
        headers = {**HEADERS, "Authorization": f"Bearer {key}"}
        url = f"{self._url}/api/{api}"
        options: dict[str, Any] = {
            "read_timeout": seconds,
            "body_limit": body_limit,
            "upstream_fault_codes": NODES_FAULT,
        }
        return OutsideSession(self._name, url, headers, **options)


def _called(session: OutsideSession, method: str, path: str, **options: Any) -> OutsideResponse:
    try:
        return session.call(method, path, **options)
    except OutsideError as error:
        _raise_in_our_words(error, is_read=method == "GET")


def _raise_in_our_words(error: OutsideError, *, is_read: bool) -> NoReturn:
    """The panel's codes tell more than its statuses: whether anything happened, and whose fault it is."""
    details: dict[str, Any] = {"status": error.status, "body": error.body, "retry_after": error.retry_after}
    details["code"] = error.code
    if error.code == "DaemonConnectionException":
        if error.status == 404:
            raise base.NotOnNode(str(error), **details) from None
        raise outside.Unavailable(str(error), **details) from None
    if error.code in STORED_NOTHING or error.code == "TwoFactorAuthRequiredException" or error.status in OPERATORS:
        raise outside.Unavailable(str(error), **details) from None
    if isinstance(error, outside.Rejected) and error.status and "errors" not in error.body:
        kind = outside.Unavailable if is_read else outside.Unknown  # a proxy spoke, not the panel
        raise kind(str(error), **details) from None
    if error.status == 409:
        raise base.WrongState(str(error), **details) from None
    raise error


def _raise_key_sees_nothing(error: outside.Rejected) -> NoReturn:
    """A client key that is not a root admin's sees no customer's server: the operator's to mend, not the server's."""
    if is_absent(error):
        reason = f"{error}; is the client key a root admin's?"
        raise outside.Unavailable(reason, status=error.status, code=error.code) from None
    raise error


def _read(
    session: OutsideSession, path: str, params: Mapping[str, Any] | None = None, *, is_repeatable: bool = True
) -> dict[str, Any]:
    answer = _called(session, "GET", path, params=params, is_repeatable=is_repeatable)
    if not _is_object(answer.body):
        raise outside.Unavailable(f"{session!r} GET {path}: the answer is not the panel's", status=answer.status)
    return dict(answer.body)


def _read_patiently(session: OutsideSession, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """A page of a list; where the minute's calls are used up, the next minute is waited for, once."""
    try:
        return _read(session, path, params)
    except outside.Unavailable as error:
        if error.status != 429 or error.retry_after is None or error.retry_after > MAX_WINDOW:
            raise
        time.sleep(error.retry_after + 1)
    return _read(session, path, params)


def _is_object(body: Any) -> bool:
    """Whether it is the panel that answered; a success of another shape comes from somebody in between."""
    return isinstance(body, dict) and bool({"attributes", "data"} & body.keys())


def items_of(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The attributes of a list's items."""
    listed = body.get("data")
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict) and isinstance(item.get("attributes"), dict):
            yield item["attributes"]


def related(attributes: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The attributes of included objects, such as a server's allocations. Unavailable where the key may not read them.

    None at all and none that may be seen are two things: the second must not look as if the panel had taken them away.
    """
    included = (attributes.get("relationships") or {}).get(name) or {}
    if included.get("object") == "null_resource":
        raise outside.Unavailable(f"the application key may not read {name}")
    return list(items_of(included))


def _page_count(body: Mapping[str, Any]) -> int:
    count = ((body.get("meta") or {}).get("pagination") or {}).get("total_pages")
    return count if isinstance(count, int) else 1


def broken_rules(error: OutsideError) -> list[tuple[str, str]]:
    """The fields and rules a 422 names, such as ("environment.VERSION", "required")."""
    found = []
    for entry in error.body.get("errors") or []:
        meta = entry.get("meta") if isinstance(entry, dict) else None
        if isinstance(meta, dict):
            found.append((str(meta.get("source_field") or ""), str(meta.get("rule") or "")))
    return found


def is_absent(error: OutsideError) -> bool:
    """Whether the panel itself says that the record does not exist; a proxy's 404 does not count."""
    return error.status == 404 and error.code == "NotFoundHttpException"
