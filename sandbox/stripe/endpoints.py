"""How a noun declares its calls, and the list form they share."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account
from sandbox.stripe.schema import EXPAND, PAGING, Group, Spec

DEFAULT_LIMIT = 10


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


def read(path: str, handler: Handler) -> Endpoint:
    """A GET of one object."""
    return Endpoint("GET", path, handler, Group({"expand": EXPAND}))


def listing(path: str, handler: Handler, **filters: Spec) -> Endpoint:
    """A GET of a list, with cursors and the given filters."""
    return Endpoint("GET", path, handler, Group({**PAGING, **filters}))


def write(path: str, handler: Handler, fields: dict[str, Spec], *required: str) -> Endpoint:
    """A POST accepting `fields`."""
    return Endpoint("POST", path, handler, Group({"expand": EXPAND, **fields}, required))


def remove(path: str, handler: Handler) -> Endpoint:
    """A DELETE."""
    return Endpoint("DELETE", path, handler, Group({"expand": EXPAND}))


def reader(kind: str) -> Handler:
    """The handler that answers one object of a kind."""
    return lambda call: call.account.find(kind, call.path["id"])


def lister(kind: str, *equal: str) -> Handler:
    """The handler that lists a kind, newest first, filtered where the `equal` fields match."""

    def handler(call: Call) -> JsonObject:
        wanted = {name: call.params[name] for name in equal if name in call.params}
        entries = (
            entry for entry in call.account.all(kind) if all(entry.get(name) == value for name, value in wanted.items())
        )
        return page_of(call, entries)

    return handler


def page_of(call: Call, entries: Iterable[JsonObject]) -> JsonObject:
    """One page of entries that come newest first, honouring `created`, the cursors and the limit.

    Raises StripeError when a cursor names nothing in the list or both cursors are given.
    """
    bounds = call.params.get("created", {})
    found = [entry for entry in entries if _within(entry.get("created", 0), bounds)]
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


def _within(created: int, bounds: dict[str, int]) -> bool:
    tests = {
        "gt": lambda bound: created > bound,
        "gte": lambda bound: created >= bound,
        "lt": lambda bound: created < bound,
        "lte": lambda bound: created <= bound,
    }
    return all(tests[name](bound) for name, bound in bounds.items())


def _position(found: list[JsonObject], identity: str, param: str) -> int:
    for place, entry in enumerate(found):
        if entry["id"] == identity:
            return place
    raise errors.missing_resource("object", identity, param)
