"""Everything one Stripe account holds, and the rules for finding it."""

import copy
import secrets
from collections.abc import Callable

from sandbox.clock import Clock
from sandbox.frame import Frame
from sandbox.state import JsonObject
from sandbox.stripe import errors

API_VERSION = "2026-10-28.endive"
BUSINESS_NAME = "Sandbox Shop"
ASYNC_SECONDS = 20
"""How long bank debits and slow refunds take."""
SETTINGS: JsonObject = {
    "gaps": [1.0, 3.0, 9.0],
    "timeout": 10.0,
    "idempotency_seconds": 86400,
    "work_seconds": 0.0,
    "settlement": {},
}
"""What tests may change: waits between webhook tries, their time limit, the life of a key, how long a POST takes, and
by currency the one it is settled in with the exchange rate, such as `{"eur": ["usd", 1.1]}`."""
SAVED = ("tables", "notes", "stored", "endpoints", "deliveries", "switches", "settings")


class Account:
    """Objects as the API shows them, by kind and in the order made.

    `notes` holds per object id what the API does not show: a session's line items, a method's test behaviour.
    `stored` are the idempotent results, `endpoints` the addresses that webhooks go to, `outbox` the ids of events not
    yet sent. `request` is the call being worked on, for the events it causes; work never awaits, so there is only one.
    `on_reset` is called by a reset.
    """

    name = "stripe"

    def __init__(self, frame: Frame) -> None:
        self.clock: Clock = frame.clock
        self.base_url = f"{frame.base_url}/stripe"
        self.request: JsonObject = {"id": None, "idempotency_key": None}
        self.on_reset: list[Callable[[], None]] = []
        self.reset()

    def reset(self) -> None:
        """An empty account with default settings."""
        self.tables: dict[str, dict[str, JsonObject]] = {}
        self.notes: dict[str, JsonObject] = {}
        self.stored: dict[str, JsonObject] = {}
        self.endpoints: list[JsonObject] = []
        self.deliveries: list[JsonObject] = []
        self.switches: list[JsonObject] = []
        self.settings: JsonObject = copy.deepcopy(SETTINGS)
        self.outbox: list[str] = []
        for forget in self.on_reset:
            forget()

    def snapshot(self) -> JsonObject:
        """The whole account."""
        return {name: getattr(self, name) for name in SAVED}

    def restore(self, saved: JsonObject) -> None:
        """Take over a saved account."""
        for name in SAVED:
            setattr(self, name, saved[name])

    def now(self) -> int:
        """The present second."""
        return self.clock.seconds()

    def add(self, thing: JsonObject) -> JsonObject:
        """Keep a new object and return it."""
        self.tables.setdefault(thing["object"], {})[thing["id"]] = thing
        return thing

    def note(self, identity: str) -> JsonObject:
        """The unseen facts about an object, made empty when there are none."""
        return self.notes.setdefault(identity, {})

    def all(self, kind: str) -> list[JsonObject]:
        """The objects of one kind, newest first."""
        return list(reversed(self.tables.get(kind, {}).values()))

    def get(self, kind: str, identity: str | None) -> JsonObject | None:
        """One object, or None."""
        return self.tables.get(kind, {}).get(identity or "")

    def find(self, kind: str, identity: str, param: str | None = None) -> JsonObject:
        """One object; `param` names the parameter that held the id, None means the path did.

        Raises StripeError `resource_missing`.
        """
        found = self.get(kind, identity)
        if found is None:
            raise errors.missing_resource("PaymentMethod" if kind == "payment_method" else kind, identity, param)
        return found

    def by_id(self, identity: str) -> JsonObject | None:
        """An object of any kind."""
        return next((table[identity] for table in self.tables.values() if identity in table), None)


def new_id(prefix: str) -> str:
    """A fresh id such as `cus_4f…`; the prefix includes its underscore."""
    return prefix + secrets.token_hex(12)


def null_fields(names: str) -> JsonObject:
    """Fields, named with spaces between them, that every new object has as null."""
    return dict.fromkeys(names.split())


def as_list(url: str, entries: list[JsonObject]) -> JsonObject:
    """An embedded list that is complete."""
    return {"object": "list", "url": url, "has_more": False, "data": entries, "total_count": len(entries)}


def merge_metadata(thing: JsonObject, changes: dict[str, str]) -> None:
    """Stripe's metadata update: given keys replace, blank values delete, the rest stays."""
    merged = {**thing["metadata"], **changes}
    thing["metadata"] = {key: value for key, value in merged.items() if value != ""}
