"""Every request the sandbox saw, with secrets taken out, for tests to count."""

import json
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl

MAX_ENTRIES = 5000
HIDDEN = "[hidden]"
SECRET_WORDS = ("secret", "password", "root_pass", "token", "private", "card[number]", "cvc", "api_key")


@dataclass
class LoggedRequest:
    """One request: what was asked, under which idempotency key, and how it ended (`status` None: no answer left)."""

    service: str
    method: str
    path: str
    query: str
    idempotency_key: str | None
    at: float
    body: Any = None
    status: int | None = None
    fault: str | None = None


@dataclass
class RequestLog:
    """The latest requests, oldest first."""

    entries: deque[LoggedRequest] = field(default_factory=lambda: deque(maxlen=MAX_ENTRIES))

    def of(self, service: str | None) -> list[dict[str, Any]]:
        """The requests to one service, or to all."""
        return [asdict(each) for each in self.entries if service in {None, each.service}]

    def clear(self, service: str | None) -> None:
        """Forget one service's requests, or all."""
        others = [each for each in self.entries if service not in {None, each.service}]
        self.entries.clear()
        self.entries.extend(others)


def readable_body(content_type: str, body: bytes) -> Any:
    """The body as JSON values without secrets; None when it is empty or neither a form nor JSON."""
    try:
        text = body.decode("utf-8")
        if "json" in content_type and text:
            return _without_secrets(json.loads(text))
    except ValueError:
        return None
    if "x-www-form-urlencoded" in content_type:
        return {key: _hide(key, value) for key, value in parse_qsl(text, keep_blank_values=True)}
    return None


def _hide(key: str, value: Any) -> Any:
    return HIDDEN if any(word in key.lower() for word in SECRET_WORDS) else value


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hide(key, _without_secrets(inner)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return value
