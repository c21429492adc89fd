"""What billing asks of a gateway, and what it gets back: plain frozen facts, never a vendor's objects.

Every call raises `outside.Unavailable`, `outside.Unknown` or `outside.Rejected`, and may be repeated without harm: what
creates something carries an idempotency key that was stored before the call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from billing.periods import Period
from core.money import Money

# The code of an Unknown or Rejected whose idempotency key is used up: look, and go on under another key.
REPLAYED_FAILURE = "replayed_failure"  # the gateway remembers a failure of its own and only repeats it
KEY_MISMATCH = "idempotency_mismatch"  # the key was first used with other parameters
USED_KEYS = frozenset({REPLAYED_FAILURE, KEY_MISMATCH})  # such a key can bring nothing any more
CUSTOMER_GONE = "customer_gone"  # the gateway does not know the customer (any more)

# A page cannot close sooner after it was made (Stripe's 30 minutes, and one for clocks that differ).
MIN_SESSION_LIFETIME = timedelta(minutes=31)


@dataclass(frozen=True)
class SavedCard:
    """A payment method kept at the gateway for later charges."""

    reference: str
    brand: str
    last4: str
    expires_on: date | None


@dataclass(frozen=True)
class GatewayPayment:
    """Money that arrived, as the gateway states it when asked. `payment_id` and `organization_id` are ours, echoed."""

    transaction_id: str
    amount: Money
    is_live: bool
    payment_id: UUID | None = None
    organization_id: UUID | None = None
    method_label: str = ""
    card: SavedCard | None = None
    subscription_reference: str = ""
    period: Period | None = None


class CheckoutSessionStatus(StrEnum):
    """OPEN can be paid, CLEARING waits for a bank, PAID has a receipt; FAILED and EXPIRED are final."""

    OPEN = "open"
    CLEARING = "clearing"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True)
class LineItem:
    """What the page shows and charges: `price_reference` names the gateway's own recurring price instead."""

    description: str
    unit: Money
    quantity: int
    price_reference: str = ""


@dataclass(frozen=True)
class CheckoutRequest:
    """Everything a hosted payment page is made from; all of it comes from stored rows, so a repeat is identical."""

    idempotency_key: str
    payment_id: UUID
    organization_id: UUID
    customer: str
    lines: Sequence[LineItem]
    success_url: str
    cancel_url: str
    expires_at: datetime
    subscription_id: UUID | None = None  # set where the gateway shall collect the later periods by itself


@dataclass(frozen=True)
class CheckoutSession:
    """A hosted payment page as it now stands."""

    reference: str
    url: str
    status: CheckoutSessionStatus
    payment_id: UUID | None
    receipt: GatewayPayment | None = None
    failure: str = ""


@dataclass(frozen=True)
class CustomerRequest:
    """The organization as the gateway shall know it. `row_id` is the id of our row."""

    row_id: UUID
    organization_id: UUID
    name: str
    email: str


class RefundStatus(StrEnum):
    """PENDING is on its way; SUCCEEDED can still turn FAILED days later."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class RefundRequest:
    """A refund to ask for. `refund_id` is ours and comes back with it."""

    refund_id: UUID
    idempotency_key: str
    transaction_id: str
    amount: Money


@dataclass(frozen=True)
class GatewayRefund:
    """A refund as it now stands; `refund_id` is None where it was made at the gateway, not by us."""

    reference: str
    transaction_id: str
    amount: Money
    status: RefundStatus
    refund_id: UUID | None = None
    failure: str = ""


class DisputeStatus(StrEnum):
    """INQUIRY has taken no money (yet)."""

    INQUIRY = "inquiry"
    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True)
class GatewayDispute:
    """A dispute as it now stands."""

    reference: str
    transaction_id: str
    amount: Money
    status: DisputeStatus
    reason: str
    opened_at: datetime


class GatewayInvoiceStatus(StrEnum):
    """Of a bill that the gateway wrote for a subscription it collects."""

    PAID = "paid"
    UNPAID = "unpaid"
    OVER = "over"  # void or given up


@dataclass(frozen=True)
class GatewayInvoice:
    """A gateway's own invoice. `payment_id` is the payment that began the subscription."""

    reference: str
    status: GatewayInvoiceStatus
    is_first: bool
    is_renewal: bool
    subscription_reference: str
    subscription_id: UUID | None
    payment_id: UUID | None
    receipt: GatewayPayment | None = None


class GatewaySubscriptionStatus(StrEnum):
    """Of a subscription that the gateway collects."""

    ACTIVE = "active"
    PAST_DUE = "past_due"
    ENDED = "ended"
    OTHER = "other"


@dataclass(frozen=True)
class GatewaySubscription:
    """A gateway's own subscription as it now stands."""

    reference: str
    subscription_id: UUID | None
    status: GatewaySubscriptionStatus
    cancels_at_period_end: bool
    end_reason: str = ""


@dataclass(frozen=True)
class Transaction:
    """What a gateway knows of a transaction: whose it says it is. `is_ours` tells whether its customer is ours."""

    reference: str
    payment_id: UUID | None
    customer: str


class Topic(StrEnum):
    """What an event is about, and so what to read again."""

    PAGE = "page"
    BILL = "bill"
    RECURRING = "recurring"
    REFUND = "refund"
    DISPUTE = "dispute"


@dataclass(frozen=True)
class News:
    """An event boiled down: look at this object again. Nothing else in the event is believed."""

    topic: Topic
    reference: str


class Driver(Protocol):
    """A gateway. Every call goes out to the network, so none is made inside a transaction."""

    def is_live(self) -> bool:
        """Whether the configured key moves real money."""

    def ensure_customer(self, request: CustomerRequest) -> str:
        """The gateway's reference of the organization, made where it is missing."""

    def create_session(self, request: CheckoutRequest) -> CheckoutSession:
        """The hosted page for a payment, or the one an earlier, unheard call made."""

    def find_session(self, *, customer: str, payment_id: UUID) -> CheckoutSession | None:
        """The page an earlier, unheard call may have made; None only when there is certainly none."""

    def read_session(self, reference: str) -> CheckoutSession:
        """The page as it now stands."""

    def expire_session(self, reference: str) -> CheckoutSession:
        """Close the page, unless it was paid meanwhile; the page as it then stands."""

    def ask_refund(self, request: RefundRequest) -> GatewayRefund:
        """Send money back, once for each idempotency key."""

    def find_refund(self, request: RefundRequest) -> GatewayRefund | None:
        """The refund an earlier, unheard call may have made; None only when there is certainly none."""

    def refund(self, reference: str) -> GatewayRefund:
        """A refund as it now stands."""

    def dispute(self, reference: str) -> GatewayDispute:
        """A dispute as it now stands."""

    def bill(self, reference: str) -> GatewayInvoice | None:
        """A bill of a subscription as it now stands; None where it belongs to none."""

    def recurring(self, reference: str) -> GatewaySubscription:
        """A subscription collected by the gateway as it now stands."""

    def cancel_subscription(self, reference: str) -> None:
        """See to it that the gateway collects a subscription no more; harmless when it has ended."""

    def transaction(self, reference: str) -> Transaction:
        """Whose a transaction says it is."""

    def news_of(self, event_type: str, content: dict[str, object]) -> News | None:
        """What an event is about; None for types that do not concern us."""
