"""What only some gateways can do: small protocols beside the core `billing.gateways.base.Driver`.

A driver has an ability when it has its methods. Who wants to use one asks `base.driver_with(gateway, Refunds)`; a page
that only wants to know asks `isinstance(driver, Refunds)`, and never for the vendor's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable

from billing.gateways.base import (
    CheckoutSession,
    CustomerRequest,
    GatewayDispute,
    GatewayInvoice,
    GatewayRefund,
    GatewaySubscription,
    RefundRequest,
    Transaction,
)
from core.money import Money


@runtime_checkable
class Customers(Protocol):
    """A gateway that keeps the organization as its customer."""

    def ensure_customer(self, request: CustomerRequest) -> str:
        """The gateway's reference of the customer, created if needed."""


@runtime_checkable
class MinAmount(Protocol):
    """A gateway that refuses payments of very little."""

    def min_amount(self, currency: str) -> Money:
        """The least that one payment may be of."""


@runtime_checkable
class SessionExpiry(Protocol):
    """A gateway whose open sessions can be closed. Elsewhere one can be paid until its time is over."""

    def expire_session(self, reference: str) -> CheckoutSession:
        """Close the session, unless it was paid meanwhile; the session in the state it then has."""


@dataclass(frozen=True)
class Channel:
    """One way to pay, such as a bank or a wallet. `fee` is what the customer pays on top of the amount."""

    code: str
    name: str
    fee: Money


@runtime_checkable
class Channels(Protocol):
    """A gateway that must be told by which of its channels the customer pays."""

    def list_channels(self, amount: Money) -> Sequence[Channel]:
        """The channels that take this amount now, in the order in which they are shown."""


@runtime_checkable
class Captures(Protocol):
    """A gateway where the customer's approval moves no money until we take it."""

    def capture_session(self, reference: str) -> CheckoutSession:
        """Take the money of an approved session, once however often it is called; the session as it then is."""


@runtime_checkable
class Currencies(Protocol):
    """A gateway that takes only some currencies."""

    CURRENCIES: frozenset[str]


@runtime_checkable
class SessionLifetime(Protocol):
    """A gateway whose sessions are open longer than others: what is bought stays reserved as long."""

    def session_lifetime(self, channel: str) -> timedelta:
        """How long a session by this channel has to be open at least."""


@runtime_checkable
class KeyCheck(Protocol):
    """A gateway that can be asked whether the account's keys are right."""

    def check_keys(self) -> None:
        """Make a call that changes nothing. Raises the errors of `core.outside`."""


@runtime_checkable
class RefundReports(Protocol):
    """A gateway that tells of refunds, such as those that somebody makes there by hand."""

    def read_refund(self, reference: str) -> GatewayRefund:
        """The refund in its current state."""


@runtime_checkable
class Refunds(RefundReports, Protocol):
    """A gateway that sends money back. Elsewhere what is given back becomes credit in the wallet."""

    REFUNDS_DISPUTED: bool  # whether it refunds a payment that was ever disputed, also when the dispute is won

    def create_refund(self, request: RefundRequest) -> GatewayRefund:
        """Send money back, once for each idempotency key."""

    def find_refund(self, request: RefundRequest) -> GatewayRefund | None:
        """The refund that an earlier call created although its answer was lost; None only when there is none."""


@runtime_checkable
class Disputes(Protocol):
    """A gateway that tells of disputes."""

    def read_dispute(self, reference: str) -> GatewayDispute:
        """The dispute in its current state."""


@runtime_checkable
class Transactions(Protocol):
    """A gateway whose events, refunds and disputes name a transaction that may not be known here yet."""

    def read_transaction(self, reference: str) -> Transaction:
        """To whom the transaction belongs, and what arrived by it."""


@runtime_checkable
class GatewayBilling(Protocol):
    """A gateway with subscriptions of its own, which it renews and invoices."""

    def read_invoice(self, reference: str) -> GatewayInvoice | None:
        """The invoice of a subscription in its current state; None where it belongs to none."""

    def read_subscription(self, reference: str) -> GatewaySubscription:
        """The subscription that the gateway renews, in its current state."""

    def cancel_subscription(self, reference: str) -> None:
        """Stop the gateway from renewing the subscription; harmless when it has ended."""
