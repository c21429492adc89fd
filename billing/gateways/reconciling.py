"""The ability to be reconciled: a gateway that lists what happened, for the case that its webhooks did not tell.

Every list is read over the network, page by page, and raises the errors of `billing.gateways.base`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from billing.gateways.base import ObjectRef
from core.money import Money


@dataclass(frozen=True)
class ListedEvent:
    """An event of a type that we follow, from the gateway's list. `payload` is what its webhook would have sent."""

    event_id: str
    type: str
    payload: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class ListedObject:
    """A subscription, refund or dispute. `amount` is what it moves, or each period; None where it is not whole."""

    ref: ObjectRef
    customer: str
    amount: Money | None
    created_at: datetime


@runtime_checkable
class Reconciling(Protocol):
    """A gateway that can be asked what happened."""

    EVENTS_KEPT: timedelta  # how far back it lists events

    def list_events(self, *, since: datetime, until: datetime) -> Iterator[ListedEvent]:
        """The events of the types we follow, created from `since` until before `until`, in any order."""

    def list_subscriptions(self) -> Iterator[ListedObject]:
        """All subscriptions that the gateway charges now."""

    def list_refunds(self, *, since: datetime) -> Iterator[ListedObject]:
        """The refunds created from `since` on."""

    def list_disputes(self, *, since: datetime) -> Iterator[ListedObject]:
        """The disputes created from `since` on."""
