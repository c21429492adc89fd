"""Pages and the `X-Filter` header."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sandbox.linode.errors import NOT_FOUND, ApiError
from sandbox.state import JsonObject

MIN_SIZE, MAX_SIZE, USUAL_SIZE = 25, 500, 100
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "+gt": lambda value, wanted: value > wanted,
    "+gte": lambda value, wanted: value >= wanted,
    "+lt": lambda value, wanted: value < wanted,
    "+lte": lambda value, wanted: value <= wanted,
    "+neq": lambda value, wanted: value != wanted,
    "+contains": lambda value, wanted: wanted in value,
}


def page_of(rows: Sequence[JsonObject], query: Mapping[str, str], x_filter: str, known: Collection[str]) -> JsonObject:
    """The rows that fit the filter, of one page. Raises ApiError for a wrong page or a key that no filter may have."""
    page, size = (_number(query, name, usual) for name, usual in (("page", 1), ("page_size", USUAL_SIZE)))
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ApiError(400, (f"Must be {MIN_SIZE}-{MAX_SIZE}", "page_size"))
    try:
        wanted = json.loads(x_filter or "{}")
    except ValueError:
        raise ApiError(400, ("Cannot parse X-Filter as JSON", "X-Filter")) from None
    if not isinstance(wanted, dict):
        raise ApiError(400, ("X-Filter must be an object", "X-Filter"))
    order, direction = wanted.pop("+order_by", None), wanted.pop("+order", "asc")
    found = [row for row in rows if fits(row, wanted, known)]
    if order:
        found.sort(key=lambda row: value_of(row, order, known), reverse=direction == "desc")
    pages = max(1, -(-len(found) // size))
    if not 1 <= page <= pages:
        raise ApiError(404, NOT_FOUND)
    shown = [public(row) for row in found[(page - 1) * size : page * size]]
    return {"data": shown, "page": page, "pages": pages, "results": len(found)}


def _number(query: Mapping[str, str], name: str, usual: int) -> int:
    text = query.get(name, str(usual))
    if not text.isdecimal():
        raise ApiError(400, ("Must be an integer", name))
    return int(text)


def fits(row: JsonObject, wanted: Any, known: Collection[str]) -> bool:
    """Whether a row fits; several keys are all wanted. Every key is looked at, so that a wrong one is refused."""
    if not isinstance(wanted, dict):
        raise ApiError(400, ("X-Filter must be an object", "X-Filter"))
    results = []
    for key, value in wanted.items():
        if key in {"+and", "+or"}:
            parts = [fits(row, part, known) for part in value]
            results.append(all(parts) if key == "+and" else any(parts))
            continue
        found = value_of(row, key, known)
        operations = value.items() if isinstance(value, dict) else [("", value)]
        for operator, operand in operations:
            if operator and operator not in OPERATORS:
                raise ApiError(400, (f"Unknown operator {operator}", "X-Filter"))
            several = found if isinstance(found, list) else [found]
            results.append(any(OPERATORS[operator](each, operand) if operator else each == operand for each in several))
    return all(results)


def value_of(row: JsonObject, key: str, known: Collection[str]) -> Any:
    """The value of a key, whose parts may be joined by dots."""
    if key not in known:
        raise ApiError(400, (f"Cannot filter on {key}", key))
    value: Any = row
    for part in key.split("."):
        value = value[part]
    return value


def public(row: JsonObject) -> JsonObject:
    """A row as it is answered."""
    return {name: value for name, value in row.items() if not name.startswith("_")}
