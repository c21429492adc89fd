"""Reconciliation: a gateway that lists what happened, for what its webhooks did not report.

Every list is read over the network, page by page, and raises the errors of `billing.gateways.base`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
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


class BalanceType(StrEnum):
    """Why the gateway's balance changed. OTHER is money that no payment of ours explains."""

    PAYMENT = "payment"
    REFUND = "refund"  # or, with a positive amount, a refund that failed
    DISPUTE = "dispute"  # or, with a positive amount, a dispute that was won
    PAYOUT = "payout"  # or, with a positive amount, a payout that failed
    FEE = "fee"  # charged by itself, such as a monthly one
    OTHER = "other"


@dataclass(frozen=True)
class BalanceTransaction:
    """A change of what the gateway holds for us: by `amount` less `fee`, signed, in the currency it settles in.

    `source` is the payment's transaction, the refund or the dispute; empty for the other types.
    """

    reference: str
    type: BalanceType
    amount: Money
    fee: Money
    source: str
    customer: str
    created_at: datetime

    @property
    def net(self) -> Money:
        """What the gateway holds more than before, or less."""
        return self.amount - self.fee


@runtime_checkable
class Balances(Protocol):
    """A gateway that says how much it holds for us."""

    def read_balances(self) -> Sequence[Money]:
        """What it holds of each currency, with what it will pay out later; less than zero where we owe it."""


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

    def list_balance_transactions(self, *, since: datetime, until: datetime) -> Iterator[BalanceTransaction]:
        """The balance transactions created from `since` until before `until`, in any order."""

    def read_balance_transaction(self, reference: str) -> BalanceTransaction:
        """One balance transaction."""
