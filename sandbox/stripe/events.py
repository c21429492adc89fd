"""Events: a snapshot of an object at the moment something happened to it."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import API_VERSION, Account, new_id
from sandbox.stripe.endpoints import Call, page_of
from sandbox.stripe.schema import Flag, Instants, Many, Spec, Text
from sandbox.stripe.switches import plan_for

MAX_EVENTS = 3000
KEPT_SECONDS = 30 * 86400
FILTERS: dict[str, Spec] = {"types": Many(Text(), most=20), "created": Instants(), "delivery_success": Flag()}


def emit(account: Account, kind: str, thing: JsonObject, previous: JsonObject | None = None) -> None:
    """Record that `kind` happened to `thing` and put the event in the outbox; `previous` only for `*.updated`."""
    plan = plan_for(account, kind)
    content: JsonObject = {"object": thing} | ({} if previous is None else {"previous_attributes": previous})
    for _ in range(2 if "twin" in plan else 1):
        event = account.add(
            {
                "id": new_id("evt_"),
                "object": "event",
                "account": None,
                "api_version": API_VERSION,
                "context": None,
                "created": account.now(),
                "data": copy.deepcopy(content),
                "livemode": False,
                "pending_webhooks": 0,
                "request": dict(account.request),
                "type": kind,
            }
        )
        account.note(event["id"])["plan"] = plan
        account.outbox.append(event["id"])
    events = account.tables["event"]
    for identity in list(events)[: max(0, len(events) - MAX_EVENTS)]:
        del events[identity]
        account.notes.pop(identity, None)


@contextmanager
def updating(account: Account, kind: str, thing: JsonObject) -> Iterator[None]:
    """Emit `kind` with the earlier values of what the block changes; nothing when it changes nothing."""
    before = copy.deepcopy(thing)
    yield
    previous = {name: value for name, value in before.items() if thing.get(name) != value}
    if previous:
        emit(account, kind, thing, previous)


def is_kept(account: Account, event: JsonObject) -> bool:
    """Whether the event can still be read: for 30 days."""
    return bool(event["created"] > account.now() - KEPT_SECONDS)


def retrieve(call: Call) -> JsonObject:
    """One event."""
    event = call.account.find("event", call.path["id"])
    if not is_kept(call.account, event):
        raise errors.missing_resource("event", event["id"], None)
    return event


def list_events(call: Call) -> JsonObject:
    """Events, newest first, by type and by whether every endpoint has taken them."""
    types, delivered = call.params.get("types"), call.params.get("delivery_success")
    kept = (each for each in call.account.all("event") if is_kept(call.account, each))
    found = (each for each in kept if types is None or each["type"] in types)
    return page_of(call, (each for each in found if delivered in {None, each["pending_webhooks"] == 0}))
