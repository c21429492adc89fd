"""One request to the panel: what was sent and by whom."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from sandbox.pterodactyl.errors import PanelError, not_found
from sandbox.pterodactyl.panel import Panel
from sandbox.pterodactyl.rows import ApiKey, User

READ, WRITE = 1, 2
UNTRIMMED = {"password"}


@dataclass(slots=True)
class Call:
    """A request after the key check; ``fields`` are query and body merged, trimmed, with "" turned into null."""

    panel: Panel
    request: Request
    params: dict[str, str]
    user: User
    key: ApiKey
    query: dict[str, Any]
    fields: dict[str, Any]
    body: bytes

    def row_id(self, name: str = "id") -> int:
        """A numeric path part. Raises a 404 for anything else."""
        text = self.params[name]
        if not text.isdecimal():
            raise not_found()
        return int(text)

    def has_right(self, resource: str, right: int) -> bool:
        """Whether the key may READ or WRITE a kind of row; client keys of root admins have every right."""
        if not self.key.is_application:
            return self.user.is_root_admin
        return bool(self.key.rights.get(resource, 0) & right)


def path_of(connection: HTTPConnection) -> str:
    """The path below the panel's mount, without a trailing slash."""
    path: str = connection.scope["path"]
    return path.removeprefix(connection.scope.get("root_path", "")).rstrip("/") or "/"


def parse_query(text: str) -> dict[str, Any]:
    """Read a query as PHP does, one level deep: ``a[b]=1`` gives an object and ``a[]=1`` a list."""
    fields: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        outer, bracket, inner = name.removesuffix("]").partition("[")
        if not bracket:
            fields[outer] = value
        elif inner:
            previous = fields.get(outer)
            fields[outer] = {**(previous if isinstance(previous, dict) else {}), inner: value}
        else:
            previous = fields.get(outer)
            fields[outer] = [*(previous if isinstance(previous, list) else []), value]
    return fields


def parse_body(request: Request, body: bytes) -> dict[str, Any]:
    """The fields of a JSON body; none for anything else.

    Raises a 400 for JSON that does not parse.
    """
    if not body or "json" not in request.headers.get("content-type", ""):
        return {}
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise PanelError(400, "BadRequestHttpException", "The JSON that was sent is malformed.") from error
    return fields if isinstance(fields, dict) else {}


def cleaned(value: Any, name: str = "") -> Any:
    """Trim every string except passwords, and turn empty ones into null."""
    if isinstance(value, str):
        return (value if name in UNTRIMMED else value.strip()) or None
    if isinstance(value, Mapping):
        return {key: cleaned(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [cleaned(each) for each in value]
    return value


def no_content(status: int = 204) -> Response:
    """An empty success."""
    return Response(status_code=status)
