"""The two ways the panel writes an instant."""

from datetime import UTC, datetime


def stamp(at: float | None) -> str | None:
    """The usual form, ``2026-01-31T12:00:00+00:00``."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def raw_stamp(at: float) -> str:
    """The form of raw rows, ``2026-01-31T12:00:00.000000Z``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
