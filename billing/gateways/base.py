"""The core protocol of a gateway, and the facts it states: frozen dataclasses, never a vendor's objects.

Every call raises `outside.Unavailable`, `outside.Unknown` or `outside.Rejected`. What creates something carries an
idempotency key that was stored before the call; a gateway without such keys is searched before anything is repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from billing.models import GatewayAccount, Period
from catalog.models import Term
from core.credentials import CredentialField
from core.money import Money

# The code of an Unknown or Rejected whose idempotency key is used up: look, and go on under another key.
REPLAYED_FAILURE = "replayed_failure"  # the gateway stored a failure of its own under the key and repeats it
KEY_MISMATCH = "idempotency_mismatch"  # the key was first used with other parameters
USED_KEYS = frozenset({REPLAYED_FAILURE, KEY_MISMATCH})
CUSTOMER_GONE = "customer_gone"  # the gateway does not know the customer
NOT_AUTHORIZED = frozenset({401, 403})  # our API key is wrong or restricted: that says nothing about the request

# The shortest time a checkout session can be open: 30 minutes at some gateway, and one for clocks that differ.
MIN_SESSION_LIFETIME = timedelta(minutes=31)


@dataclass(frozen=True)
class SavedCard:
    """A payment method saved at the gateway for later charges."""

    reference: str
    brand: str
    last4: str
    expires_on: date | None


@dataclass(frozen=True)
class GatewayPayment:
    """Money that arrived, as the gateway states it. `payment_id` and `organization_id` are ours, from its metadata.

    `organization_id` is None where the gateway keeps no more than one reference. `fee` is what the gateway keeps of
    `amount`, where it says so at once and not in balance transactions. `card_fingerprint` is its own mark of a card,
    the same whoever pays with it.
    """

    transaction_id: str
    amount: Money
    is_live: bool
    fee: Money | None = None
    payment_id: UUID | None = None
    organization_id: UUID | None = None
    method_label: str = ""
    card_fingerprint: str = ""
    card: SavedCard | None = None
    subscription_reference: str = ""
    period: Period | None = None


class CheckoutSessionStatus(StrEnum):
    """OPEN can be paid, APPROVED waits for our capture, PROCESSING for a bank, PAID has a payment; others are final."""

    OPEN = "open"
    APPROVED = "approved"
    PROCESSING = "processing"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True)
class LineItem:
    """What the session charges: an amount of ours, or with `price_reference` the gateway's own recurring price."""

    description: str
    unit: Money
    quantity: int
    price_reference: str = ""


@dataclass(frozen=True)
class CheckoutRequest:
    """Everything a checkout session is created from. All of it comes from stored rows, so a repeat is identical."""

    idempotency_key: str
    payment_id: UUID
    organization_id: UUID
    customer: str  # empty where the gateway has no customers
    lines: Sequence[LineItem]
    success_url: str
    cancel_url: str
    expires_at: datetime
    subscription_id: UUID | None = None  # set where the gateway renews the subscription
    saves_method: bool = False  # for later charges of ours; only where the customer agreed
    buyer_name: str = ""
    buyer_email: str = ""
    channel: str = ""  # where the gateway has several ways to pay, the code of the one that was chosen
    attempt: int = 1  # how often a session was requested for the payment, with this request
    requested_at: datetime | None = None


@dataclass(frozen=True)
class Interval:
    """The time between two charges: `count` hours, days, weeks or months. A year is twelve months."""

    unit: str
    count: int

    @classmethod
    def of(cls, term: Term) -> "Interval":
        """The time between two charges of a subscription with this term."""
        return cls("month", term.months) if term.months else cls("hour", 1)

    def __str__(self) -> str:
        return f"every {self.unit}" if self.count == 1 else f"every {self.count} {self.unit}s"


@dataclass(frozen=True)
class CheckoutSession:
    """A hosted payment page in its current state.

    Only while it is open it has a `url`. Then it says what it asks for (`total`, None where the gateway does not say)
    and what the gateway will charge again at each interval (`recurring`, empty where it will not).
    """

    reference: str
    url: str
    status: CheckoutSessionStatus
    payment_id: UUID | None
    total: Money | None = None
    recurring: Mapping[Interval, Money] = field(default_factory=dict)
    payment: GatewayPayment | None = None
    failure: str = ""


@dataclass(frozen=True)
class CustomerRequest:
    """The organization as a customer of the gateway."""

    gateway_customer_id: UUID  # of our GatewayCustomer
    organization_id: UUID
    name: str
    email: str


class RefundStatus(StrEnum):
    """PENDING is not decided yet; SUCCEEDED can still turn FAILED days later."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class RefundRequest:
    """A refund to create. `refund_id` is the id of our row, which the gateway stores with it."""

    refund_id: UUID
    idempotency_key: str
    transaction_id: str
    amount: Money


@dataclass(frozen=True)
class GatewayRefund:
    """A refund in its current state; `refund_id` is None where it was made at the gateway and not by us."""

    reference: str
    transaction_id: str
    amount: Money
    status: RefundStatus
    refund_id: UUID | None = None
    failure: str = ""


class DisputeStatus(StrEnum):
    """An INQUIRY has taken no money."""

    INQUIRY = "inquiry"
    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True)
class GatewayDispute:
    """A dispute in its current state."""

    reference: str
    transaction_id: str
    amount: Money
    status: DisputeStatus
    reason: str
    opened_at: datetime
    evidence_due_at: datetime | None = None  # None where no evidence is asked for


class GatewayInvoiceStatus(StrEnum):
    """Of an invoice that the gateway issued for a subscription it renews."""

    PAID = "paid"
    UNPAID = "unpaid"
    CLOSED = "closed"  # void or uncollectible


@dataclass(frozen=True)
class GatewayInvoice:
    """An invoice that the gateway issued. `payment_id` is our payment that began the subscription."""

    reference: str
    status: GatewayInvoiceStatus
    is_first: bool
    is_renewal: bool
    subscription_reference: str
    subscription_id: UUID | None
    payment_id: UUID | None
    payment: GatewayPayment | None = None


class GatewaySubscriptionStatus(StrEnum):
    """Of a subscription that the gateway renews."""

    ACTIVE = "active"
    PAST_DUE = "past_due"
    ENDED = "ended"
    OTHER = "other"


@dataclass(frozen=True)
class GatewaySubscription:
    """A subscription that the gateway renews, in its current state."""

    reference: str
    subscription_id: UUID | None
    payment_id: UUID | None  # of the payment that began it
    status: GatewaySubscriptionStatus
    cancels_at_period_end: bool
    end_reason: str = ""


@dataclass(frozen=True)
class Transaction:
    """To which of our payments a transaction belongs, to which customer of the gateway, and what arrived by it."""

    reference: str
    payment_id: UUID | None
    customer: str
    payment: GatewayPayment | None = None


class ObjectType(StrEnum):
    """The objects of a gateway that our rows follow."""

    CHECKOUT_SESSION = "checkout_session"
    TRANSACTION = "transaction"
    INVOICE = "invoice"
    SUBSCRIPTION = "subscription"
    REFUND = "refund"
    DISPUTE = "dispute"
    PAYMENT_METHOD = "payment_method"


@dataclass(frozen=True)
class ObjectRef:
    """The object that an event is about. It is read again; nothing else in the event is used."""

    type: ObjectType
    id: str


@dataclass(frozen=True)
class WebhookEvent:
    """A webhook event whose signature was right. `payload` is the body as it came."""

    event_id: str
    type: str
    payload: str
    is_known_type: bool


@dataclass(frozen=True)
class WebhookAnswer:
    """What the gateway's server reads of our answer."""

    status: int
    body: str = ""
    content_type: str = "text/plain"


class WebhookRefused(Exception):
    """The request is not an event of this gateway account: unsigned, of another time, or not readable."""


class WebhookNotConfigured(Exception):
    """No signing secret is configured, so no signature can be checked."""


class Driver(Protocol):
    """A gateway account: what every gateway can do. What only some can is in `billing.gateways.abilities`.

    Every call that goes out to the network is made outside of transactions.
    """

    CREDENTIALS: Sequence[CredentialField]
    HAS_IDEMPOTENCY_KEYS: bool  # whether a repeat of `create_session` under the same key gives the same session
    SAVES_METHODS: bool  # whether a session can save how the customer pays, for later charges of ours

    def __init__(self, account: GatewayAccount) -> None:
        """The driver of one account."""

    @staticmethod
    def page_origins() -> Sequence[str]:
        """Scheme, host and port of the pages to which the gateway's sessions send the customer."""

    def is_configured(self) -> bool:
        """Whether the account has its keys."""

    def is_live(self) -> bool:
        """Whether the configured key moves real money."""

    def create_session(self, request: CheckoutRequest) -> CheckoutSession:
        """The checkout session of a payment. Without idempotency keys, a repeat creates another one."""

    def find_sessions(self, *, customer: str, payment_id: UUID, attempts: int) -> Sequence[CheckoutSession]:
        """Every session that earlier calls created for the payment; empty only when there is none.

        `customer` is empty where the gateway has no customers. `attempts` is how often a session was requested.
        """

    def read_session(self, reference: str) -> CheckoutSession:
        """The session in its current state."""

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> WebhookEvent:
        """The event in the raw body. Raises WebhookNotConfigured or WebhookRefused."""

    def answer_webhook(self, status: int) -> WebhookAnswer:
        """The answer that the gateway understands: 200 stored, 400 refused, 503 not configured."""

    def object_of_event(self, event_type: str, payload: Mapping[str, Any]) -> ObjectRef | None:
        """The object that an event is about; None for types that we do not follow."""


class MissingAbility(LookupError):
    """The gateway cannot do what is asked of it."""


_drivers: dict[str, type[Driver]] = {}


def register(kind: str, driver: type[Driver]) -> None:
    """Register the driver of a kind of gateway; called from AppConfig.ready()."""
    _drivers[kind] = driver


def kinds() -> list[str]:
    """The kinds of gateway that have a driver."""
    return sorted(_drivers)


def page_origins() -> list[str]:
    """Where the pages of all registered gateways are. A form of ours may lead there: see `nodebyte.middleware`."""
    return sorted({origin for driver in _drivers.values() for origin in driver.page_origins()})


def driver_of(gateway: str) -> Driver:
    """The driver of the gateway account with this code. LookupError for an unknown account, or one of unknown kind.

    In a customer's request it is called `as_worker`: accounts hold credentials.
    """
    return driver_for(account_with_code(gateway))


def account_with_code(gateway: str) -> GatewayAccount:
    """The gateway account with this code. LookupError where there is none."""
    account = GatewayAccount.objects.filter(code=gateway).first()
    if account is None:
        raise LookupError(f"no gateway account {gateway}")
    return account


def driver_for(account: GatewayAccount) -> Driver:
    """The driver of an account that has been read. LookupError for an unknown kind."""
    if account.kind not in _drivers:
        raise LookupError(f"no driver for gateway {account.code}, which is of kind {account.kind}")
    return _drivers[account.kind](account)


def driver_with[Ability](gateway: str, ability: type[Ability]) -> Ability:
    """The driver of the account, where it has the ability. Raises MissingAbility, or LookupError as `driver_of`."""
    return ability_of(account_with_code(gateway), ability)


def ability_of[Ability](account: GatewayAccount, ability: type[Ability]) -> Ability:
    """The driver of an account that has been read, where it has the ability. Raises as `driver_with`."""
    driver = driver_for(account)
    if not isinstance(driver, ability):
        raise MissingAbility(f"gateway {account.code} has no {ability.__name__}")
    return driver
