"""Turning ids into the objects they name, where the caller asked for it."""

import copy
from typing import Any

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account, as_list

MAX_DEPTH = 4
FIRST_LINES = 10  # the rest of a session's line items is listed


def expanded(account: Account, thing: JsonObject, paths: list[str]) -> JsonObject:
    """A copy of an object or list with every path expanded.

    Raises StripeError for a path that leads nowhere.
    """
    answer = copy.deepcopy(thing)
    for path in paths:
        steps = path.split(".")
        if len(steps) > MAX_DEPTH:
            raise errors.invalid(f"You cannot expand more than {MAX_DEPTH} levels of a property", param="expand")
        _walk(account, answer, steps, path)
    return answer


def _walk(account: Account, here: JsonObject, steps: list[str], path: str) -> None:
    step, rest = steps[0], steps[1:]
    included = (here.get("object"), step) if step not in here else None
    if included == ("checkout.session", "line_items"):
        items = copy.deepcopy(account.note(here["id"])["line_items"])
        shown = {"data": items[:FIRST_LINES], "has_more": len(items) > FIRST_LINES}
        here[step] = as_list(f"/v1/checkout/sessions/{here['id']}/line_items", items) | shown
    elif included == ("charge", "refunds"):
        found = [copy.deepcopy(refund) for refund in account.all("refund") if refund["charge"] == here["id"]]
        here[step] = as_list(f"/v1/refunds?charge={here['id']}", found)
    if step not in here:
        raise errors.invalid(f"This property cannot be expanded ({path}).", param="expand")
    here[step] = _opened(account, here[step], path, is_last=not rest)
    for each in here[step] if isinstance(here[step], list) else [here[step]]:
        if rest and isinstance(each, dict):
            _walk(account, each, rest, path)


def _opened(account: Account, value: Any, path: str, *, is_last: bool) -> Any:
    if isinstance(value, list):
        return [_opened(account, each, path, is_last=is_last) for each in value]
    if isinstance(value, str):
        found = account.by_id(value)
        if found is None:
            raise errors.invalid(f"This property cannot be expanded ({path}).", param="expand")
        return copy.deepcopy(found)
    if is_last and value is not None and not isinstance(value, dict):
        raise errors.invalid(f"This property cannot be expanded ({path}).", param="expand")
    return value
