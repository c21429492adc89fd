"""HTTP to DigitalOcean: its pages, and its errors as the three kinds of core.outside."""

import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from core import outside
from core.outside import Expect, OutsideError, OutsideSession, refuse_transaction
from servers.models import Provider

DEFAULT_URL = "https://api.digitalocean.com"
PAGE_SIZE = 200
MAX_PAGES = 1000
MAX_RATE_LIMIT_WAIT = 65  # who makes more than 250 calls a minute waits for the next one
# A droplet has one action at a time; most take some seconds, a resize minutes.
PENDING_SECONDS = 5
# A wrong token or a locked account says nothing about one server: the operator mends it, and then the work goes on.
OPERATOR_STATUSES = {401, 403}


class DigitalOceanClient:
    """Calls version 2 of the API with one account's token."""

    def __init__(self, provider: Provider) -> None:
        self._name = f"cloud {provider.name}"
        self._url = f"{(provider.base_url or DEFAULT_URL).rstrip('/').removesuffix('/v2')}/v2"
        self._token = str((provider.credentials or {}).get("token") or "")

    def read(self, path: str, member: str, params: Mapping[str, Any] | None = None) -> Any:
        """The member of the answer to a question, such as `droplet`."""
        return self._body("GET", path, member, params=params, is_repeatable=True)[member]

    def pages(self, path: str, member: str, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Every object of a list, page after page. Of the link to the next page only its query is used."""
        query: dict[str, Any] = {**(params or {}), "per_page": PAGE_SIZE}
        for _page in range(MAX_PAGES):
            try:
                body = self._body("GET", path, member, params=query, is_repeatable=True)
            except outside.Unavailable as error:
                if error.status != 429 or error.retry_after is None or error.retry_after > MAX_RATE_LIMIT_WAIT:
                    raise
                time.sleep(error.retry_after)  # waited for once
                body = self._body("GET", path, member, params=query, is_repeatable=True)
            yield from body[member]
            following = ((body.get("links") or {}).get("pages") or {}).get("next")
            if not following:
                return
            query = dict(parse_qsl(urlsplit(str(following)).query))
        raise outside.Rejected(f"{self._name} GET {path}: the list has no end")

    def write(self, method: str, path: str, json: Mapping[str, Any] | None = None, *, member: str = "") -> Any:
        """A write, sent once; the member of its answer, or None where none is asked for."""
        body = self._body(method, path, member, json=json, expects=Expect.JSON if member else Expect.NOTHING)
        return body[member] if member else None

    def _body(self, method: str, path: str, member: str, **options: Any) -> Any:
        refuse_transaction(self._name)
        if not self._token:
            raise outside.Unavailable(f"{self._name}: no API token is set")
        session = OutsideSession(self._name, self._url, {"Authorization": f"Bearer {self._token}"})
        try:
            response = session.call(method, path, **options)
        except OutsideError as error:
            raise translated(error, is_read=method == "GET") from None
        if member and not (isinstance(response.body, dict) and member in response.body):
            kind = outside.Unavailable if method == "GET" else outside.Unknown
            raise kind(f"{self._name} {method} {path}: the answer has no {member}", status=response.status)
        return response.body


def translated(error: OutsideError, *, is_read: bool) -> OutsideError:
    """What the error means here: DigitalOcean gives a reason in words, and most of them one status."""
    reason = message_of(error)
    text = f"{error}: {reason}" if reason else str(error)
    details: dict[str, Any] = {"status": error.status, "body": error.body, "code": error.code}
    if error.status in OPERATOR_STATUSES:
        return outside.Unavailable(text, **details)
    if error.status == 409 or "pending event" in reason.lower():
        return outside.Unavailable(text, **details, retry_after=PENDING_SECONDS)
    if error.status == 503 and not is_read:
        return outside.Unknown(text, **details, retry_after=error.retry_after)  # no 5xx promises that nothing was done
    if isinstance(error, outside.Rejected) and error.status and not error.code:
        kind = outside.Unavailable if is_read else outside.Unknown  # a proxy answered
        return kind(text, **details)
    if isinstance(error, outside.Rejected):
        return outside.Rejected(text, **details)
    return error


def message_of(error: OutsideError) -> str:
    """DigitalOcean's own sentence."""
    return str(error.body.get("message") or "")


def is_not_found(error: OutsideError) -> bool:
    """Whether DigitalOcean itself says that it does not exist."""
    return error.status == 404 and error.code == "not_found"
