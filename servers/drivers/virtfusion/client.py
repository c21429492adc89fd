"""HTTP to a control server's admin API: token, pages, and its errors as the three kinds of core.outside."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from core import outside
from core.outside import Expect, OutsideError, OutsideSession, refuse_transaction
from core.outside.session import NOT_CARRIED_OUT
from servers.drivers import base
from servers.models import Provider

READ_SECONDS = 20.0
WRITE_SECONDS = 60.0  # a creation reserves disk and addresses before it is answered
PAGE_SIZE = 200
MAX_PAGES = 1000
LOCKED = 423
# A wrong token says nothing about one server: the operator mends it, and then the work goes on.
OPERATOR_STATUSES = {401, 403}
MAX_WORDS = 200
# With an address that was copied together with its API every path would be answered as a record that does not exist.
_API = re.compile(r"(/api(/v1)?)?/*$")


class PanelClient:
    """Calls the admin API of one control server. Credentials: `token`."""

    def __init__(self, provider: Provider) -> None:
        self.name, self._url = f"VirtFusion {provider.name}", _API.sub("", provider.base_url.rstrip("/"))
        self._token = str((provider.credentials or {}).get("token") or "")

    def read(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The `data` of an answer. A read may be repeated."""
        return self._body("GET", path, params=params, is_repeatable=True)["data"]

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Every item of a list, page after page."""
        for page in range(1, MAX_PAGES):
            query = {**(params or {}), "results": PAGE_SIZE, "page": page}
            body = self._body("GET", path, params=query, is_repeatable=True)
            yield from body["data"]
            if page * int(body.get("per_page") or PAGE_SIZE) >= int(body.get("total") or 0):
                return
        raise outside.Rejected(f"{self.name} GET {path}: the list has no end")

    def create(self, path: str, json: Mapping[str, Any], params: Mapping[str, Any] | None = None) -> Any:
        """The `data` of what a POST created."""
        return self._body("POST", path, json=json, params=params)["data"]

    def page(self, path: str) -> str:
        """The address of one of the panel's own pages, and of no other site. Raises Rejected."""
        if not path.startswith("/") or path.startswith(("//", "/\\")):
            raise outside.Rejected(f"{self.name} gave an address that is not its own")
        return f"{self._url}{path}"

    def write(self, method: str, path: str, json: Any = None, params: Mapping[str, Any] | None = None) -> None:
        """A write whose answer says nothing: versions answer 200, 201 or 204, with a body or without."""
        self._call(method, path, json=json, params=params, expects=Expect.NOTHING)

    def _body(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        response = self._call(method, path, **options)
        if not isinstance(response.body, dict) or "data" not in response.body:  # from a proxy
            kind = outside.Unavailable if method == "GET" else outside.Unknown
            raise kind(f"{self.name} {method} {path}: the answer is not from the panel", status=response.status)
        return response.body

    def _call(self, method: str, path: str, **options: Any) -> outside.OutsideResponse:
        refuse_transaction(self.name)
        if not self._token:
            raise outside.Unavailable(f"{self.name}: no token is set")
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}
        seconds, unsent = READ_SECONDS if method == "GET" else WRITE_SECONDS, NOT_CARRIED_OUT | {LOCKED}
        session = OutsideSession(
            self.name, f"{self._url}/api/v1", headers, read_timeout=seconds, not_carried_out=unsent
        )
        try:
            return session.call(method, path, **options)
        except OutsideError as error:
            raise_translated(error, is_read=method == "GET")


def raise_translated(error: OutsideError, *, is_read: bool) -> NoReturn:
    """Raise what the panel's answer means, with its words."""
    words = words_of(error.body)
    text = f"{error}: {words}" if words else str(error)
    details: dict[str, Any] = {"status": error.status, "body": error.body, "retry_after": error.retry_after}
    if error.status in OPERATOR_STATUSES:
        raise outside.Unavailable(f"{text}; does the token have all permissions?", **details) from None
    if isinstance(error, outside.Rejected) and error.status and not words:
        kind = outside.Unavailable if is_read else outside.Unknown  # a proxy answered, not the panel
        raise kind(text, **details) from None
    if error.status == 409:
        raise base.WrongState(text, **details) from None
    raise type(error)(text, **details) from None


def words_of(body: Mapping[str, Any]) -> str:
    """The panel's own sentence: the first of `errors`, a list of texts or a map of fields, or `msg`, or `message`."""
    errors = body.get("errors")
    if isinstance(errors, Mapping):
        errors = [
            f"{field}: {', '.join(map(str, texts if isinstance(texts, list) else [texts]))}"
            for field, texts in errors.items()
        ]
    first = errors[0] if isinstance(errors, list) and errors else body.get("msg") or body.get("message") or ""
    return str(first)[:MAX_WORDS]


def says(error: OutsideError, words: str) -> bool:
    """Whether the panel itself says that a record does not exist, in these words; a path that is unknown does not."""
    return error.status == 404 and words in words_of(error.body).lower()


def is_gone(error: OutsideError) -> bool:
    """Whether the panel says that there is no such server."""
    return says(error, "server not found")


def number(text: str, what: str) -> int:
    """An id of the panel from our rows or from it; other text could change which call is made. Raises Rejected."""
    if not (text.isascii() and text.isdigit()):
        raise outside.Rejected(f"{what} must be a number of VirtFusion's, not {text[:40]!r}")
    return int(text)
