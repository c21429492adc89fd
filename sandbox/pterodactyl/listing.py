"""Lists: filters, pages and includes."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sandbox.pterodactyl.call import Call, path_of
from sandbox.pterodactyl.errors import PanelError, refusal

INCLUDE_DEPTH = 2
DEFAULT_PER_PAGE = 50

type Includes = dict[str, "Includes"]
type Filters[R] = Mapping[str, Callable[[R, str], bool]]


def substring(column: str) -> Callable[[object, str], bool]:
    """The filter that a column contains a text, as SQL's LIKE finds it: in any case, with ``%`` and ``_``."""

    def contains(row: object, wanted: str) -> bool:
        value = getattr(row, column)
        parts = (".*" if letter == "%" else "." if letter == "_" else re.escape(letter) for letter in wanted)
        return value is not None and re.search("".join(parts), str(value), re.IGNORECASE | re.DOTALL) is not None

    return contains


def filtered[R](call: Call, rows: Iterable[R], filters: Filters[R]) -> list[R]:
    """The rows that pass every ``filter[x]``; a comma means OR.

    Raises a 400 for a filter that the list does not have.
    """
    found = list(rows)
    wanted = call.query.get("filter")
    for name, value in wanted.items() if isinstance(wanted, dict) else ():
        if name not in filters:
            raise refusal("InvalidFilterQuery", f"Requested filter(s) `{name}` are not allowed.")
        choices = [choice for choice in str(value or "").split(",") if choice]
        if choices:
            found = [row for row in found if any(filters[name](row, choice) for choice in choices)]
    return found


def paginated[R](
    call: Call,
    rows: Sequence[R],
    render: Callable[[R], Any],
    *,
    default: int = DEFAULT_PER_PAGE,
    maximum: int | None = None,
) -> dict[str, Any]:
    """One page of a list, with ``meta.pagination``; the links have only ``page``.

    Raises a 500 for a negative or textual ``per_page``, as the panel does.
    """
    wanted = str(call.query.get("page") or "1")
    page = max(1, int(wanted)) if wanted.isdecimal() else 1
    size = call.query.get("per_page")
    text = str(default if size is None else size)
    if not re.fullmatch(r"-?\d+", text):
        raise PanelError(500, "TypeError")
    if int(text) < 0:
        raise PanelError(500, "QueryException")
    per_page = int(text) or 15
    if maximum is not None:
        per_page = min(per_page, maximum)
    pages = max(1, -(-len(rows) // per_page))
    url = f"{call.panel.url}{path_of(call.request)}?page="
    links = {}
    if page > 1:
        links["previous"] = f"{url}{page - 1}"
    if page < pages:
        links["next"] = f"{url}{page + 1}"
    data = [render(row) for row in rows[(page - 1) * per_page : page * per_page]]
    pagination = {
        "total": len(rows),
        "count": len(data),
        "per_page": per_page,
        "current_page": page,
        "total_pages": pages,
        "links": links,
    }
    return {"object": "list", "data": data, "meta": {"pagination": pagination}}


def included(call: Call) -> Includes:
    """The tree of ``include=a,b.c``, from query or body, no deeper than the panel goes."""
    asked = call.query.get("include", call.fields.get("include"))
    names = asked if isinstance(asked, list) else str(asked or "").split(",")
    tree: Includes = {}
    for name in names:
        branch = tree
        for part in str(name).strip().split(".")[:INCLUDE_DEPTH]:
            if part:
                branch = branch.setdefault(part, {})
    return tree
