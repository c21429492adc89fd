"""Turning ids into the objects they name, where the caller asked for it."""

import copy
from collections.abc import Callable
from typing import Any

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account, as_list

DEEPEST = 4
Include = Callable[[Account, JsonObject], JsonObject]


def _line_items(account: Account, session: JsonObject) -> JsonObject:
    return as_list(f"/v1/checkout/sessions/{session['id']}/line_items", account.note(session["id"])["line_items"])


def _refunds(account: Account, charge: JsonObject) -> JsonObject:
    found = [refund for refund in account.all("refund") if refund["charge"] == charge["id"]]
    return as_list(f"/v1/refunds?charge={charge['id']}", found)


def _payments(account: Account, invoice: JsonObject) -> JsonObject:
    found = [payment for payment in account.all("invoice_payment") if payment["invoice"] == invoice["id"]]
    return as_list(f"/v1/invoice_payments?invoice={invoice['id']}", found)


def _subscriptions(account: Account, customer: JsonObject) -> JsonObject:
    found = [each for each in account.all("subscription") if each["customer"] == customer["id"]]
    return as_list(f"/v1/customers/{customer['id']}/subscriptions", found)


INCLUDED_ON_REQUEST: dict[tuple[str, str], Include] = {
    ("checkout.session", "line_items"): _line_items,
    ("charge", "refunds"): _refunds,
    ("invoice", "payments"): _payments,
    ("customer", "subscriptions"): _subscriptions,
}


def rendered(account: Account, thing: JsonObject, paths: list[str]) -> JsonObject:
    """A copy of an object or list with every path expanded.

    Raises StripeError for a path that leads nowhere.
    """
    answer = copy.deepcopy(thing)
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEEPEST:
            raise errors.invalid(f"You cannot expand more than {DEEPEST} levels of a property", param="expand")
        _walk(account, answer, steps, path)
    return answer


def _walk(account: Account, here: JsonObject, steps: list[str], path: str) -> None:
    step, rest = steps[0], steps[1:]
    include = INCLUDED_ON_REQUEST.get((here.get("object", ""), step))
    if include is not None and not isinstance(here.get(step), dict):
        here[step] = copy.deepcopy(include(account, here))
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
