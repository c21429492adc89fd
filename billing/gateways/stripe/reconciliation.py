"""Stripe's lists of what happened: events, subscriptions, refunds and disputes."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from billing.gateways.base import ObjectRef, ObjectType
from billing.gateways.reconciling import ListedEvent, ListedObject
from billing.gateways.stripe.client import StripeClient
from billing.gateways.stripe.fields import from_stripe_amount, id_of, instant, value
from billing.gateways.stripe.webhooks import EVENTS
from core.money import Money
from core.outside import Rejected

CHARGING = frozenset({"active", "trialing", "past_due", "unpaid"})  # statuses of a subscription
MAX_TYPES = 20  # in one request
NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")  # which PostgreSQL's JSON refuses


class Reconciliation(StripeClient):
    """What happened at the account, for what its webhooks did not report."""

    EVENTS_KEPT = timedelta(days=30)

    def list_events(self, *, since: datetime, until: datetime) -> Iterator[ListedEvent]:
        """The events of the types we follow, created from `since` until before `until`, in any order."""
        created = {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
        names = list(EVENTS)
        for first in range(0, len(names), MAX_TYPES):
            types = names[first : first + MAX_TYPES]
            listed = self.read_all(
                "Stripe events",
                lambda stripe, params: stripe.v1.events.list(params),
                created=created,
                types=types,
            )
            for event in listed:
                text = json.dumps(event.to_dict(for_json=True))
                payload = json.loads(NUL.sub(r"\1", text))
                yield ListedEvent(event.id, event.type, payload, instant(event.created))

    def list_subscriptions(self) -> Iterator[ListedObject]:
        """All subscriptions that Stripe charges now; one that never began or has ended is left out."""
        listed = self.read_all("Stripe subscriptions", lambda stripe, params: stripe.v1.subscriptions.list(params))
        for found in listed:
            if found.status in CHARGING:
                prices = [(item.price.unit_amount, item.quantity or 1) for item in found["items"].data]
                is_whole = all(unit is not None for unit, _quantity in prices)
                per_period = sum(unit * quantity for unit, quantity in prices) if is_whole else None
                yield _listed(ObjectType.SUBSCRIPTION, found, id_of(found.customer), per_period)

    def list_refunds(self, *, since: datetime) -> Iterator[ListedObject]:
        """The refunds created from `since` on."""
        return self._list_of_charges(ObjectType.REFUND, lambda stripe, params: stripe.v1.refunds.list(params), since)

    def list_disputes(self, *, since: datetime) -> Iterator[ListedObject]:
        """The disputes created from `since` on."""
        return self._list_of_charges(ObjectType.DISPUTE, lambda stripe, params: stripe.v1.disputes.list(params), since)

    def _list_of_charges(self, object_type: ObjectType, request: Any, since: datetime) -> Iterator[ListedObject]:
        """What happened to charges from `since` on, with the customer of each charge."""
        created = {"gte": int(since.timestamp())}
        for found in self.read_all(f"Stripe {object_type}s", request, created=created, expand=["data.charge"]):
            yield _listed(object_type, found, id_of(value(found, "charge", "customer")), found.amount)


def _listed(object_type: ObjectType, found: Any, customer: str, minor: int | None) -> ListedObject:
    amount: Money | None = None
    if minor is not None:
        with suppress(Rejected):  # no whole number of minor units: shown without an amount rather than not at all
            amount = from_stripe_amount(minor, found.currency)
    return ListedObject(ObjectRef(object_type, found.id), customer, amount, instant(found.created))
