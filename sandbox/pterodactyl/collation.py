"""Text comparison as the panel's database does it: without regard to case and trailing blanks."""

from collections.abc import Iterable

from sandbox.pterodactyl.rows import Row
from sandbox.pterodactyl.store import Table
from sandbox.pterodactyl.validation import Custom


def is_same(left: object, right: object) -> bool:
    """Whether the database calls two texts equal; null equals nothing."""
    return left is not None and right is not None and str(left).rstrip().casefold() == str(right).rstrip().casefold()


def unique[R: Row](rows: Iterable[R], column: str, *, but: R | None = None) -> Custom:
    """The rule that no other row has this value."""
    return Custom(
        "unique", lambda value: not any(is_same(getattr(row, column), value) for row in rows if row is not but)
    )


def exists[R: Row](table: Table[R]) -> Custom:
    """The rule that a row with this id exists."""
    return Custom("exists", lambda value: table.get(value) is not None)
