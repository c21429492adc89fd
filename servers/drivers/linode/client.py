"""HTTP to Linode's API: a token, pages, filters in a header, and its errors as the three kinds of core.outside."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from core import outside
from core.outside import OutsideError, OutsideSession, refuse_transaction
from servers.models import Provider

READ_SECONDS = 20.0
WRITE_SECONDS = 40.0
PAGE_SIZE = 500  # the most: lists are limited more tightly than single objects
MAX_PAGES = 10_000
# Linode has been seen to ask for a negative wait on creations, which cannot be read as one.
MIN_WAIT, USUAL_WAIT, MAX_WAIT = 1, 15, 300
MAX_LIST_WAIT = 60
# A wrong token or one with too few scopes says nothing about one server: the operator mends it.
OPERATOR_STATUSES = {401, 403}
_VERSION = re.compile(r"(/v4)?/*$")


class LinodeClient:
    """Calls the API of one account."""

    def __init__(self, provider: Provider) -> None:
        self._token = str((provider.credentials or {}).get("token") or "")
        self._name, self._url = f"Linode {provider.name}", _VERSION.sub("", provider.base_url.rstrip("/")) + "/v4"

    def read(self, path: str) -> dict[str, Any]:
        """One object. A read may be repeated."""
        return self._call("GET", path, READ_SECONDS, is_repeatable=True)

    def find(self, path: str) -> dict[str, Any] | None:
        """One object; None when Linode itself says that there is none."""
        try:
            return self.read(path)
        except outside.Rejected as error:
            if error.status == 404:
                return None
            raise

    def listed(self, path: str, wanted: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Every object of a list that fits the filter, page after page."""
        headers = {"X-Filter": json.dumps(wanted)} if wanted else {}
        for page in range(1, MAX_PAGES):
            options: dict[str, Any] = {"params": {"page": page, "page_size": PAGE_SIZE}, "headers": headers}
            try:
                body = self._call("GET", path, READ_SECONDS, is_repeatable=True, **options)
            except outside.Unavailable as error:
                wait = error.retry_after or USUAL_WAIT
                if error.status != 429 or page == 1 or wait > MAX_LIST_WAIT:
                    raise
                time.sleep(wait)  # a long list needs more calls than a minute has
                body = self._call("GET", path, READ_SECONDS, is_repeatable=True, **options)
            yield from body["data"]
            if page >= body["pages"]:
                return
        raise outside.Rejected(f"{self._name} GET {path}: the list has no end")

    def write(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A write, sent once: the object, or an empty one for an action."""
        return self._call(method, path, WRITE_SECONDS, json=body)

    def _call(self, method: str, path: str, seconds: float, **options: Any) -> dict[str, Any]:
        refuse_transaction(self._name)
        if not self._token:
            raise outside.Unavailable(f"{self._name}: no token is set")
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}
        session = OutsideSession(self._name, self._url, headers, read_timeout=seconds)
        try:
            body = session.call(method, path, **options).body
        except OutsideError as error:
            raise translated(error, is_read=method == "GET") from None
        if not isinstance(body, dict):
            kind = outside.Unavailable if method == "GET" else outside.Unknown
            raise kind(f"{self._name} {method} {path}: the answer is not from Linode")
        return body


def translated(error: OutsideError, *, is_read: bool) -> OutsideError:
    """The error that Linode's reasons mean: a 400 is a refusal, or only says that the machine is busy."""
    details: dict[str, Any] = {"status": error.status, "body": error.body, "retry_after": error.retry_after}
    if error.status == 429:
        details["retry_after"] = max(MIN_WAIT, min(error.retry_after or USUAL_WAIT, MAX_WAIT))
        return outside.Unavailable(str(error), **details)
    if error.status in OPERATOR_STATUSES:
        return outside.Unavailable(str(error), **details)
    if not isinstance(error, outside.Rejected) or error.status is None:
        return error
    reasons = reasons_of(error)
    if not reasons:  # a proxy answered, not Linode
        kind = outside.Unavailable if is_read else outside.Unknown
        return kind(str(error), **details)
    if any("busy" in reason.lower() for _field, reason in reasons):
        return outside.Unavailable(f"{error} {reasons[0][1]}", **details)
    named = "; ".join(f"{field}: {reason}" if field else reason for field, reason in reasons)
    return outside.Rejected(f"Linode: {named}", **details)


def reasons_of(error: OutsideError) -> list[tuple[str, str]]:
    """The fields, empty where none is named, and Linode's own reasons."""
    entries = error.body.get("errors")
    known = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [(str(entry.get("field") or ""), str(entry["reason"])) for entry in known if entry.get("reason")]
