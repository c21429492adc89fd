"""Lists: filters, sorting, pages and includes."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.errors import GENERIC, PanelError, refusal

INCLUDE_DEPTH = 2
DEFAULT_PER_PAGE = 50

type Tree = dict[str, "Tree"]
type Getter[R] = Callable[[R], object]


@dataclass(frozen=True, slots=True)
class Filters[R]:
    """What a list may be narrowed and ordered by."""

    partial: Mapping[str, Getter[R]] = field(default_factory=dict)
    exact: Mapping[str, Callable[[R, object], bool]] = field(default_factory=dict)
    sorts: Mapping[str, Getter[R]] | None = None
    is_sort_checked: bool = True


def contains(value: object, wanted: object) -> bool:
    """SQL ``LIKE %wanted%`` without regard to case, ``%`` and ``_`` within it as wildcards."""
    parts = (".*" if letter == "%" else "." if letter == "_" else re.escape(letter) for letter in str(wanted))
    return value is not None and re.search("".join(parts), str(value), re.IGNORECASE | re.DOTALL) is not None


def narrowed[R](call: Call, rows: Iterable[R], filters: Filters[R]) -> list[R]:
    """The rows that meet every ``filter[x]``; a comma means OR.

    Raises a 400 for a filter the list does not have.
    """
    kept = list(rows)
    wanted = call.query.get("filter")
    for name, value in wanted.items() if isinstance(wanted, dict) else ():
        if name not in filters.partial and name not in filters.exact:
            raise refusal("InvalidFilterQuery", f"Requested filter(s) `{name}` are not allowed.")
        choices = value if isinstance(value, list) else str(value or "").split(",")
        choices = [choice for choice in choices if choice != ""]
        if choices:
            kept = [row for row in kept if any(_meets(row, name, choice, filters) for choice in choices)]
    return kept


def _meets[R](row: R, name: str, wanted: object, filters: Filters[R]) -> bool:
    if name in filters.exact:
        return filters.exact[name](row, wanted)
    return contains(filters.partial[name](row), wanted)


def ordered[R](call: Call, rows: list[R], filters: Filters[R]) -> list[R]:
    """The rows in the order of ``sort``, where the list knows such a thing.

    Raises a 400 for an unknown one.
    """
    text = call.query.get("sort")
    if not text or filters.sorts is None:
        return rows
    for name in reversed(str(text).split(",")):
        getter = filters.sorts.get(name.lstrip("-"))
        if getter is None and filters.is_sort_checked:
            raise refusal("InvalidSortQuery", f"Requested sort(s) `{name}` is not allowed.")
        if getter is not None:
            rows = sorted(rows, key=getter, reverse=name.startswith("-"))  # type: ignore[arg-type]
    return rows


def page_number(call: Call) -> int:
    """The page asked for; anything unusable is page 1."""
    text = str(call.query.get("page") or "1")
    return max(1, int(text)) if text.isdecimal() else 1


def per_page(call: Call, *, default: int = DEFAULT_PER_PAGE, most: int | None = None) -> int:
    """How many rows a page has; zero gives 15, and nonsense breaks the panel as it does there.

    Raises a 500 for negative numbers and text.
    """
    text = call.query.get("per_page")
    if text is None:
        return default
    if not re.fullmatch(r"-?\d+", str(text)):
        raise PanelError(500, "TypeError", GENERIC)
    count = int(text)
    if count < 0:
        raise PanelError(500, "QueryException", GENERIC)
    return min(count or 15, most) if most else count or 15


def page_of[R](call: Call, rows: Sequence[R], render: Callable[[R], Any], *, size: int | None = None) -> dict[str, Any]:
    """One page as a list with ``meta.pagination``; the application API's links carry only ``page``."""
    size = size or per_page(call)
    number = page_number(call)
    shown = rows[(number - 1) * size : number * size]
    pages = max(1, -(-len(rows) // size))
    links = {}
    if number > 1:
        links["previous"] = link(call, number - 1)
    if number < pages:
        links["next"] = link(call, number + 1)
    pagination = {
        "total": len(rows),
        "count": len(shown),
        "per_page": size,
        "current_page": number,
        "total_pages": pages,
        "links": links,
    }
    return {"object": "list", "data": [render(row) for row in shown], "meta": {"pagination": pagination}}


def link(call: Call, number: int) -> str:
    """The address of another page; only the client API keeps the rest of the query."""
    kept = [
        pair
        for pair in call.request.query_params.multi_items()
        if pair[0] != "page" and call.request.url.path.startswith(call.panel.mount + "/api/client")
    ]
    return f"{call.panel.url}{call.panel.path_of(call.request)}?{urlencode([*kept, ('page', number)])}"


def plain_list[R](rows: Iterable[R], render: Callable[[R], Any]) -> dict[str, Any]:
    """A list without pages."""
    return {"object": "list", "data": [render(row) for row in rows]}


def includes(call: Call) -> Tree:
    """The tree of ``include=a,b.c``, from query or body, no deeper than the panel goes."""
    asked = call.query.get("include", call.fields.get("include"))
    names = asked if isinstance(asked, list) else str(asked or "").split(",")
    tree: Tree = {}
    for name in names:
        branch = tree
        for part in str(name).strip().split(".")[:INCLUDE_DEPTH]:
            if part:
                branch = branch.setdefault(part, {})
    return tree
