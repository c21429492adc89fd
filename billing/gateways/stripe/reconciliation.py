"""Stripe's lists of what happened: events."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from billing.gateways.reconciling import ListedEvent
from billing.gateways.stripe import client
from billing.gateways.stripe.fields import instant
from billing.gateways.stripe.webhooks import OBJECT_TYPES

EVENTS_KEPT = timedelta(days=30)
MAX_TYPES = 20  # in one request
NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # which PostgreSQL's JSON refuses


def list_events(*, since: datetime, until: datetime) -> Iterator[ListedEvent]:
    """The events of the types we follow, created from `since` until before `until`, in any order."""
    created = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
    names = list(OBJECT_TYPES)
    for first in range(0, len(names), MAX_TYPES):
        types = names[first : first + MAX_TYPES]
        listed = client.read_all(
            "Stripe events",
            lambda stripe, params: stripe.v1.events.list(params),
            created=created,
            types=types,
        )
        for event in listed:
            text = json.dumps(event.to_dict(for_json=True))
            payload = json.loads(NUL.sub(r"\1", text))
            yield ListedEvent(event.id, event.type, payload, instant(event.created))
