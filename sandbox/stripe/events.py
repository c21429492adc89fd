"""Events: a snapshot of an object at the moment something happened to it."""

import copy
from collections.abc import Iterator

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import API_VERSION, Account, new_id
from sandbox.stripe.endpoints import Call, Endpoint, listing, page_of, read, reader
from sandbox.stripe.schema import Flag, Instants, Many, Text
from sandbox.stripe.switches import plan_for

KEPT = 3000


def emit(account: Account, kind: str, thing: JsonObject, previous: JsonObject | None = None) -> None:
    """Record that `kind` happened to `thing` and put the event in the outbox; `previous` only for `*.updated`."""
    plan = plan_for(account, kind)
    for _ in range(2 if "twin" in plan else 1):
        event = account.add(_event(account, kind, thing, previous))
        account.note(event["id"])["plan"] = plan
        account.outbox.append(event["id"])
    _forget_oldest(account)


def _forget_oldest(account: Account) -> None:
    events = account.tables["event"]
    for identity in list(events)[: max(0, len(events) - KEPT)]:
        del events[identity]
        account.notes.pop(identity, None)


def _event(account: Account, kind: str, thing: JsonObject, previous: JsonObject | None) -> JsonObject:
    content: JsonObject = {"object": copy.deepcopy(thing)}
    if previous is not None:
        content["previous_attributes"] = previous
    return {
        "id": new_id("evt_"),
        "object": "event",
        "account": None,
        "api_version": API_VERSION,
        "context": None,
        "created": account.now(),
        "data": content,
        "livemode": False,
        "pending_webhooks": 0,
        "request": dict(account.request),
        "type": kind,
    }


def list_events(call: Call) -> JsonObject:
    """Events, newest first, by type and by whether every endpoint has taken them."""
    if "type" in call.params and "types" in call.params:
        raise errors.invalid("You may only specify one of these parameters: type, types.", param="types")
    return page_of(call, _wanted(call))


def _wanted(call: Call) -> Iterator[JsonObject]:
    kinds = call.params.get("types") or ([call.params["type"]] if "type" in call.params else None)
    delivered = call.params.get("delivery_success")
    for event in call.account.all("event"):
        if kinds is not None and not any(_fits(event["type"], kind) for kind in kinds):
            continue
        if delivered is None or (event["pending_webhooks"] == 0) == delivered:
            yield event


def _fits(kind: str, wanted: str) -> bool:
    return kind.startswith(wanted[:-1]) if wanted.endswith("*") else kind == wanted


ENDPOINTS: list[Endpoint] = [
    read("/v1/events/{id}", reader("event")),
    listing(
        "/v1/events",
        list_events,
        type=Text(),
        types=Many(Text(), most=20),
        created=Instants(),
        delivery_success=Flag(),
    ),
]
