"""One request to the panel: what was sent, by whom, and the answers an endpoint may give."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl.errors import PanelError, missing
from sandbox.pterodactyl.rows import ApiKey, User

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel

READS = {"GET", "HEAD"}
UNTRIMMED = {"password", "password_confirmation", "current_password"}


@dataclass(slots=True)
class Call:
    """A request after the key check; ``fields`` are query and body merged, trimmed, with "" turned into null."""

    panel: "Panel"
    request: Request
    params: dict[str, str]
    user: User
    key: ApiKey
    query: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""

    def row_id(self, name: str = "id") -> int:
        """A numeric path part. Raises a 404 for anything else."""
        text = self.params[name]
        if not text.isdecimal():
            raise missing()
        return int(text)

    def may(self, resource: str, *, right: int) -> bool:
        """Whether the key has a right (1 read, 2 write) on a kind of record; client keys of root admins have all."""
        if not self.key.is_application:
            return self.user.is_root_admin
        return bool(self.key.rights.get(resource, 0) & right)


def wants_json(request: Request) -> bool:
    """Whether the caller's first choice of answer is JSON; ``*/*`` is not."""
    first = request.headers.get("accept", "").split(",")[0].lower()
    return "/json" in first or "+json" in first


def parse_query(text: str) -> dict[str, Any]:
    """Read a query or form as PHP does: ``a[b]=1`` nests and ``a[]=1`` appends."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, *rest = name.replace("]", "").split("[")
        _put(found, [head, *rest], value)
    return {name: _listed(value) for name, value in found.items()}


def _put(target: dict[str, Any], path: list[str], value: str) -> None:
    """Store a value below nested keys; an empty key takes the next number."""
    key = path[0] or str(len(target))
    if len(path) == 1:
        target[key] = value
        return
    inner = target.setdefault(key, {})
    if not isinstance(inner, dict):
        inner = target[key] = {}
    _put(inner, path[1:], value)


def _listed(value: Any) -> Any:
    """Turn maps with the keys 0, 1, 2… into lists."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(each) for key, each in value.items()}
    return list(inner.values()) if list(inner) == [str(index) for index in range(len(inner))] else inner


def cleaned(value: Any, name: str = "") -> Any:
    """Trim every string and turn empty ones into null, passwords excepted from the trimming."""
    if isinstance(value, str):
        text = value if name in UNTRIMMED else value.strip()
        return text or None
    if isinstance(value, Mapping):
        return {key: cleaned(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [cleaned(each) for each in value]
    return value


def parse_body(request: Request, body: bytes) -> dict[str, Any]:
    """The fields of a JSON or form body; none for anything else.

    Raises a 400 for JSON that does not parse.
    """
    kind = request.headers.get("content-type", "")
    if not body or not ("json" in kind or "x-www-form-urlencoded" in kind):
        return {}
    if "json" not in kind:
        return parse_query(body.decode("utf-8", "replace"))
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise PanelError(400, "BadRequestHttpException", "The JSON that was sent is malformed.") from error
    if isinstance(fields, list):
        return {str(index): each for index, each in enumerate(fields)}
    return fields if isinstance(fields, dict) else {}


def reply(content: Any, status: int = 200) -> JSONResponse:
    """A JSON answer."""
    return JSONResponse(content, status_code=status)


def no_content(status: int = 204) -> Response:
    """An empty success."""
    return Response(status_code=status)
