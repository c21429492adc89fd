"""billing's tables."""

from billing.models.allocations import AllocationReversal, PaymentAllocation
from billing.models.auto_top_ups import AutoTopUp
from billing.models.credit_notes import CreditNote
from billing.models.gateway_subscriptions import GatewayCancelTask, GatewaySubscription
from billing.models.gateways import (
    BillingMode,
    EventResult,
    GatewayAccount,
    GatewayCustomer,
    GatewayEvent,
    GatewayPrice,
    KeyCheckTask,
    MethodTask,
    PaymentMethod,
)
from billing.models.grants import CreditGrant, GrantKind
from billing.models.invoices import (
    PERIOD_KINDS,
    Invoice,
    InvoiceItem,
    InvoiceState,
    InvoiceTax,
    ItemKind,
)
from billing.models.ledger import SOURCE_FIELDS, AccountKind, EntryKind, JournalEntry, LedgerAccount, Posting
from billing.models.ledger_audit import LedgerAudit
from billing.models.pauses import SubscriptionPause
from billing.models.payments import ChargeTask, Payment, PaymentState, PaymentTask
from billing.models.price_campaigns import CampaignStatus, PriceCampaign, PriceMove
from billing.models.reconciliation import CursorType, GatewayBalance, GatewayCursor, UnexplainedItem, UnexplainedType
from billing.models.refunds import Dispute, Refund, RefundState, RefundTask
from billing.models.runs import Reminder, Run, RunKind, RunState
from billing.models.series import DocumentKind, InvoiceSeries
from billing.models.subscriptions import (
    DELETION_NOTICE,
    CancellationReason,
    Period,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
    next_period_end,
)
from billing.models.taxes import TaxCategory, TaxRate, TaxStatus
from billing.models.transfers import BankTransfer, LineState, StatementLine
from billing.models.usage import UsageCycle

__all__ = [
    "DELETION_NOTICE",
    "PERIOD_KINDS",
    "SOURCE_FIELDS",
    "AccountKind",
    "AllocationReversal",
    "AutoTopUp",
    "BankTransfer",
    "BillingMode",
    "CampaignStatus",
    "CancellationReason",
    "ChargeTask",
    "CreditGrant",
    "CreditNote",
    "CursorType",
    "Dispute",
    "DocumentKind",
    "EntryKind",
    "EventResult",
    "GatewayAccount",
    "GatewayBalance",
    "GatewayCancelTask",
    "GatewayCursor",
    "GatewayCustomer",
    "GatewayEvent",
    "GatewayPrice",
    "GatewaySubscription",
    "GrantKind",
    "Invoice",
    "InvoiceItem",
    "InvoiceSeries",
    "InvoiceState",
    "InvoiceTax",
    "ItemKind",
    "JournalEntry",
    "KeyCheckTask",
    "LedgerAccount",
    "LedgerAudit",
    "LineState",
    "MethodTask",
    "Payment",
    "PaymentAllocation",
    "PaymentMethod",
    "PaymentState",
    "PaymentTask",
    "Period",
    "Posting",
    "PriceCampaign",
    "PriceMove",
    "Refund",
    "RefundState",
    "RefundTask",
    "Reminder",
    "Run",
    "RunKind",
    "RunState",
    "StatementLine",
    "Subscription",
    "SubscriptionItem",
    "SubscriptionPause",
    "SubscriptionStatus",
    "TaxCategory",
    "TaxRate",
    "TaxStatus",
    "UnexplainedItem",
    "UnexplainedType",
    "UsageCycle",
    "next_period_end",
]
