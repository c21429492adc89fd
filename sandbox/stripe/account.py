"""Everything one Stripe account holds, and the rules for finding it."""

import copy
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.clock import Clock
from sandbox.frame import Frame
from sandbox.state import JsonObject
from sandbox.stripe import errors

API_VERSION = "2026-10-28.endive"
NOUNS = {"payment_method": "PaymentMethod", "checkout.session": "checkout.session", "payment_intent": "payment_intent"}


class Account:
    """Objects as they look on the wire, by kind and in the order made.

    `notes` holds per object id what the wire does not show: a session's line items, a method's test behaviour.
    `stored` are the idempotent results. `outbox` names events not yet given to the courier. `request` is the call being
    worked on, for the events it causes; work never awaits, so there is only one. `on_reset` is called by a reset.
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
        self.deliveries: list[JsonObject] = []
        self.switches: list[JsonObject] = []
        self.settings: JsonObject = default_settings()
        self.outbox: list[str] = []
        for forget in self.on_reset:
            forget()

    def snapshot(self) -> JsonObject:
        """The whole account."""
        return {
            "tables": self.tables,
            "notes": self.notes,
            "stored": self.stored,
            "deliveries": self.deliveries,
            "switches": self.switches,
            "settings": self.settings,
        }

    def restore(self, saved: JsonObject) -> None:
        """Take over a saved account."""
        self.tables, self.notes, self.stored = saved["tables"], saved["notes"], saved["stored"]
        self.deliveries, self.switches = saved["deliveries"], saved["switches"]
        self.settings = default_settings() | saved["settings"]

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

    def all(self, kind: str) -> Iterator[JsonObject]:
        """The objects of one kind, newest first."""
        return iter(list(reversed(self.tables.get(kind, {}).values())))

    def get(self, kind: str, identity: str | None) -> JsonObject | None:
        """One object, or None."""
        return self.tables.get(kind, {}).get(identity or "")

    def find(self, kind: str, identity: str, param: str | None = None) -> JsonObject:
        """One object; `param` names the parameter that held the id, None means the path did.

        Raises StripeError `resource_missing`.
        """
        found = self.get(kind, identity)
        if found is None:
            raise errors.missing_resource(NOUNS.get(kind, kind), identity, param)
        return found

    def by_id(self, identity: str) -> JsonObject | None:
        """An object of whatever kind."""
        return next((table[identity] for table in self.tables.values() if identity in table), None)


def default_settings() -> JsonObject:
    """Delivery gaps, time limits and durations in seconds, which tests shorten, and the name on the hosted page."""
    return {
        "gaps": [1.0, 3.0, 9.0],
        "timeout": 10.0,
        "idempotency_seconds": 86400,
        "async_seconds": 20,
        "work_seconds": 0.0,
        "business_name": "Sandbox Shop",
    }


def new_id(prefix: str) -> str:
    """A fresh id such as `cus_4f…`; the prefix includes its underscore."""
    return prefix + secrets.token_hex(12)


def as_list(url: str, entries: list[JsonObject]) -> JsonObject:
    """An embedded list that is complete."""
    return {"object": "list", "url": url, "has_more": False, "data": entries, "total_count": len(entries)}


def merge_metadata(thing: JsonObject, changes: dict[str, str] | None) -> None:
    """Stripe's metadata update: given keys replace, blank values delete, the rest stays."""
    if changes is None:
        return
    kept = {**(thing.get("metadata") or {}), **changes}
    thing["metadata"] = {key: value for key, value in kept.items() if value != ""}


def changed_fields(before: JsonObject, after: JsonObject) -> dict[str, Any]:
    """The earlier values of every top-level field that differs, as `previous_attributes` wants them."""
    return {key: copy.deepcopy(value) for key, value in before.items() if after.get(key) != value}
