"""Text comparison as the panel's database does it: without regard to case and trailing blanks."""

from collections.abc import Callable, Iterable

from sandbox.pterodactyl.rows import Row
from sandbox.pterodactyl.validation import Custom


def folded(text: object) -> str:
    """The form under which two texts count as the same."""
    return str(text).rstrip().casefold()


def same(left: object, right: object) -> bool:
    """Whether the database would call two texts equal; null equals nothing."""
    return left is not None and right is not None and folded(left) == folded(right)


def unique[R: Row](rows: Iterable[R], read: Callable[[R], object], *, but: R | None = None) -> Custom:
    """The rule that no other row has this value."""
    return Custom("unique", lambda value: not any(same(read(row), value) for row in rows if row is not but))


def exists(is_there: Callable[[object], bool]) -> Custom:
    """The rule that a record with this value exists."""
    return Custom("exists", is_there)
