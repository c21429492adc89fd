"""Reading a response: bounded in size and time, and accepted only when it has the expected form."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, NoReturn

import requests

CHUNK = 64 * 1024
MAX_RETRY_AFTER_SECONDS = 86_400


class Expect(StrEnum):
    """What a successful response carries: JSON, TEXT (a string), BYTES, or NOTHING (any body is ignored)."""

    JSON = "json"
    TEXT = "text"
    BYTES = "bytes"
    NOTHING = "nothing"


@dataclass(frozen=True)
class OutsideResponse:
    """A success (2xx). `body` is JSON with decimals for fractions, or as `Expect` says; None without content."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class UnreadableError(Exception):
    """The body is too big, too slow or not what was expected; the text says which."""


def read_body(
    response: requests.Response, *, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic
) -> bytes:
    """The decompressed body. Raises UnreadableError past `limit` bytes or `seconds`."""
    began, content = clock(), bytearray()
    for chunk in response.iter_content(CHUNK):
        content += chunk
        if len(content) > limit:
            raise UnreadableError(f"the answer is larger than {limit} bytes")
        if clock() - began > seconds:
            raise UnreadableError(f"the answer took longer than {seconds:g} s")
    return bytes(content)


def parse_body(response: requests.Response, content: bytes, expect: Expect) -> Any:
    """The body in the expected form; UnreadableError when a JSON response is not JSON."""
    is_empty = response.status_code in {202, 204, 205} and not content
    if expect is Expect.NOTHING or is_empty or response.request.method == "HEAD":
        return None
    if expect is Expect.BYTES:
        return content
    if expect is Expect.TEXT:
        return content.decode(response.encoding or "utf-8", "replace")
    return strict_json(content)


def strict_json(content: bytes) -> Any:
    """JSON with `Decimal` fractions; NaN, infinities, excessive nesting and anything else raise UnreadableError."""

    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(name)

    try:
        return json.loads(content, parse_float=Decimal, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise UnreadableError("the answer is not JSON") from None


def error_body(content: bytes) -> dict[str, Any]:
    """The body of an error response as a dict: a JSON object as it is, a list under `errors`, anything else empty."""
    try:
        body = strict_json(content)
    except UnreadableError:
        return {}
    return body if isinstance(body, dict) else {"errors": body} if isinstance(body, list) else {}


def error_code(body: Mapping[str, Any]) -> str:
    """The vendor's own code for the error, from where vendors usually put it; empty when there is none."""
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    for candidate in (body.get("error"), first, body):
        if isinstance(candidate, str):
            return candidate[:100]
        if isinstance(candidate, Mapping):
            for name in ("code", "type", "name", "id"):
                if isinstance(candidate.get(name), str | int) and candidate[name]:
                    return str(candidate[name])[:100]
    return ""


def retry_after(headers: Mapping[str, str], *, now: Callable[[], float] = time.time) -> int | None:
    """Whole seconds from a Retry-After header, in seconds or as a date; None when absent or invalid. At most a day."""
    text = headers.get("Retry-After", "").strip()
    if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit():
        seconds = Decimal(text).to_integral_value(rounding="ROUND_CEILING")
    else:
        try:
            seconds = Decimal(round(parsedate_to_datetime(text).timestamp() - now()))
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(int(seconds), 0), MAX_RETRY_AFTER_SECONDS)
