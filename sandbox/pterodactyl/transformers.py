"""What the objects of both APIs have in common."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sandbox.pterodactyl.rows import Server

Json = dict[str, Any]


def item(name: str, attributes: Json) -> Json:
    """An object with its attributes."""
    return {"object": name, "attributes": attributes}


def plain_list(items: Iterable[Json]) -> Json:
    """A list without pages."""
    return {"object": "list", "data": list(items)}


def timestamp(at: float | None) -> str | None:
    """An instant, such as ``2026-01-31T12:00:00+00:00``."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def limits(server: Server) -> Json:
    """The resources that a server may use."""
    return {
        "memory": server.memory,
        "swap": server.swap,
        "disk": server.disk,
        "io": server.io,
        "cpu": server.cpu,
        "threads": server.threads,
        "oom_disabled": server.is_oom_disabled,
    }


def feature_limits(server: Server) -> Json:
    """How many databases, allocations and backups a server may have."""
    return {
        "databases": server.database_limit,
        "allocations": server.allocation_limit,
        "backups": server.backup_limit,
    }
