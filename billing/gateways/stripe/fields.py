"""Reading Stripe's objects, which are no dicts and whose fields may be ids or whole objects."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID


def id_of(thing: Any) -> str:
    """The id of an expanded object or of one named by its id; empty for none."""
    if thing is None:
        return ""
    return thing if isinstance(thing, str) else str(thing.id)


def value(thing: Any, *path: str) -> Any:
    """The value at the end of a path of attributes, None where any of it is missing."""
    for name in path:
        if thing is None or isinstance(thing, str):
            return None
        thing = getattr(thing, name, None)
    return thing


def ours(metadata: Any, name: str) -> UUID | None:
    """One of our ids out of metadata; None where it is missing or no id of ours."""
    text = getattr(metadata, name, None) if metadata is not None else None
    try:
        return UUID(str(text)) if text else None
    except ValueError:
        return None


def instant(seconds: int) -> datetime:
    """Unix seconds as an aware instant."""
    return datetime.fromtimestamp(seconds, tz=UTC)
