"""What each type of Stripe's events is about. Only the id is taken from an event; the object is read again."""

from collections.abc import Callable, Mapping
from typing import Any

from billing.gateways.base import News, Topic
from billing.gateways.stripe import refunds

MAX_ID = 191


def _named(topic: Topic) -> Callable[[Mapping[str, Any]], News | None]:
    return lambda thing: _news(topic, thing.get("id"))


def _of_charge(thing: Mapping[str, Any]) -> News | None:
    """The event carries the charge; each refund has such an event, and the newest one is what this is about."""
    charge = thing.get("id")
    return _news(Topic.REFUND, refunds.newest_of_charge(charge)) if isinstance(charge, str) else None


def _news(topic: Topic, reference: object) -> News | None:
    if not isinstance(reference, str) or not 0 < len(reference) <= MAX_ID:
        return None
    return News(topic, reference)


_READERS: dict[str, Callable[[Mapping[str, Any]], News | None]] = {
    "checkout.session.completed": _named(Topic.PAGE),
    "checkout.session.async_payment_succeeded": _named(Topic.PAGE),
    "checkout.session.async_payment_failed": _named(Topic.PAGE),
    "checkout.session.expired": _named(Topic.PAGE),
    "invoice.paid": _named(Topic.BILL),
    "invoice.payment_failed": _named(Topic.BILL),
    "customer.subscription.updated": _named(Topic.RECURRING),
    "customer.subscription.deleted": _named(Topic.RECURRING),
    "charge.refunded": _of_charge,
    "refund.created": _named(Topic.REFUND),
    "refund.updated": _named(Topic.REFUND),
    "refund.failed": _named(Topic.REFUND),
    "charge.dispute.created": _named(Topic.DISPUTE),
    "charge.dispute.updated": _named(Topic.DISPUTE),
    "charge.dispute.funds_withdrawn": _named(Topic.DISPUTE),
    "charge.dispute.funds_reinstated": _named(Topic.DISPUTE),
    "charge.dispute.closed": _named(Topic.DISPUTE),
}
TYPES = frozenset(_READERS)


def news_of(event_type: str, content: Mapping[str, Any]) -> News | None:
    """What the event asks to be looked at; None for a type that does not concern us or an object without an id."""
    reader = _READERS.get(event_type)
    thing = value if isinstance(value := content.get("data"), Mapping) else {}
    inner = thing.get("object")
    return reader(inner) if reader and isinstance(inner, Mapping) else None
