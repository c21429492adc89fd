"""How an API call is declared, and the list form that calls share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account
from sandbox.stripe.schema import EXPAND, PAGING, Group, Instants, Spec

DEFAULT_LIMIT = 10
BOUNDS: dict[str, Callable[[int, int], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


@dataclass(frozen=True)
class Call:
    """One accepted API call: parsed parameters, the ids in its path, and the account it works on."""

    account: Account
    params: dict[str, Any]
    path: dict[str, str]
    url: str


Handler = Callable[[Call], JsonObject]


@dataclass(frozen=True)
class Endpoint:
    """A method and path below the mount, what it accepts, and what it does."""

    method: str
    path: str
    handler: Handler
    accepts: Group


def get(path: str, kind: str) -> Endpoint:
    """A GET of one object of a kind."""

    def handler(call: Call) -> JsonObject:
        return call.account.find(kind, call.path["id"])

    return get_object(path, handler)


def get_object(path: str, handler: Handler) -> Endpoint:
    """A GET of one object, found by `handler`."""
    return Endpoint("GET", path, handler, Group({"expand": EXPAND}))


def get_list(path: str, handler: Handler, filters: dict[str, Spec] | None = None) -> Endpoint:
    """A GET of a list, with cursors and the given filters."""
    return Endpoint("GET", path, handler, Group({**PAGING, **(filters or {})}))


def get_all(path: str, kind: str, filters: dict[str, Spec] | None = None) -> Endpoint:
    """A GET of a kind, newest first, by `created` and by fields that must equal a filter of their name."""

    def handler(call: Call) -> JsonObject:
        wanted = {name: call.params[name] for name in filters or {} if name in call.params}
        entries = call.account.all(kind)
        return page_of(call, (each for each in entries if all(each[name] == value for name, value in wanted.items())))

    return get_list(path, handler, {"created": Instants(), **(filters or {})})


def post(
    path: str, handler: Handler, fields: dict[str, Spec] | None = None, required: tuple[str, ...] = ()
) -> Endpoint:
    """A POST accepting `fields`."""
    return Endpoint("POST", path, handler, Group({"expand": EXPAND, **(fields or {})}, required))


def delete(path: str, handler: Handler) -> Endpoint:
    """A DELETE."""
    return Endpoint("DELETE", path, handler, Group({"expand": EXPAND}))


def page_of(call: Call, entries: Iterable[JsonObject]) -> JsonObject:
    """One page of entries that come newest first, honouring `created`, the cursors and the limit.

    Raises StripeError when a cursor names nothing in the list or both cursors are given.
    """
    bounds = call.params.get("created", {}).items()
    found = [each for each in entries if all(BOUNDS[name](each.get("created", 0), bound) for name, bound in bounds)]
    limit = call.params.get("limit", DEFAULT_LIMIT)
    after, before = call.params.get("starting_after"), call.params.get("ending_before")
    if after and before:
        raise errors.invalid("You may only specify one of these parameters: starting_after, ending_before.")
    if after:
        found = found[_position(found, after, "starting_after") + 1 :]
    if before:
        found = found[: _position(found, before, "ending_before")]
    shown = found[-limit:] if before else found[:limit]
    return {"object": "list", "url": call.url, "has_more": len(found) > len(shown), "data": shown}


def _position(found: list[JsonObject], identity: str, param: str) -> int:
    for position, entry in enumerate(found):
        if entry["id"] == identity:
            return position
    raise errors.missing_resource("object", identity, param)
