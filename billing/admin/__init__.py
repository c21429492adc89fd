"""The admin of billing."""

from billing.admin.auto_top_ups import AutoTopUpAdmin
from billing.admin.customers import GatewayCustomerAdmin, MethodTaskAdmin, PaymentMethodAdmin
from billing.admin.events import GatewayEventAdmin
from billing.admin.gateways import (
    GatewayAccountAdmin,
    GatewayCancelTaskAdmin,
    GatewayPriceAdmin,
    GatewaySubscriptionAdmin,
    KeyCheckTaskAdmin,
)
from billing.admin.grants import CreditGrantAdmin
from billing.admin.invoices import CreditNoteAdmin, InvoiceAdmin, InvoiceItemAdmin, InvoiceSeriesAdmin, InvoiceTaxAdmin
from billing.admin.ledger import JournalEntryAdmin, LedgerAccountAdmin, PostingAdmin
from billing.admin.payments import (
    AllocationReversalAdmin,
    ChargeTaskAdmin,
    DisputeAdmin,
    PaymentAdmin,
    PaymentAllocationAdmin,
    PaymentTaskAdmin,
    RefundAdmin,
    RefundTaskAdmin,
)
from billing.admin.price_campaigns import PriceCampaignAdmin, PriceMoveAdmin
from billing.admin.reconciliation import GatewayBalanceAdmin, GatewayCursorAdmin, LedgerAuditAdmin, UnexplainedItemAdmin
from billing.admin.runs import ReminderAdmin, RunAdmin
from billing.admin.subscriptions import (
    SubscriptionAdmin,
    SubscriptionItemAdmin,
    SubscriptionPauseAdmin,
    UsageCycleAdmin,
)
from billing.admin.taxes import TaxRateAdmin
from billing.admin.transfers import BankTransferAdmin, StatementLineAdmin

__all__ = [
    "AllocationReversalAdmin",
    "AutoTopUpAdmin",
    "BankTransferAdmin",
    "ChargeTaskAdmin",
    "CreditGrantAdmin",
    "CreditNoteAdmin",
    "DisputeAdmin",
    "GatewayAccountAdmin",
    "GatewayBalanceAdmin",
    "GatewayCancelTaskAdmin",
    "GatewayCursorAdmin",
    "GatewayCustomerAdmin",
    "GatewayEventAdmin",
    "GatewayPriceAdmin",
    "GatewaySubscriptionAdmin",
    "InvoiceAdmin",
    "InvoiceItemAdmin",
    "InvoiceSeriesAdmin",
    "InvoiceTaxAdmin",
    "JournalEntryAdmin",
    "KeyCheckTaskAdmin",
    "LedgerAccountAdmin",
    "LedgerAuditAdmin",
    "MethodTaskAdmin",
    "PaymentAdmin",
    "PaymentAllocationAdmin",
    "PaymentMethodAdmin",
    "PaymentTaskAdmin",
    "PostingAdmin",
    "PriceCampaignAdmin",
    "PriceMoveAdmin",
    "RefundAdmin",
    "RefundTaskAdmin",
    "ReminderAdmin",
    "RunAdmin",
    "StatementLineAdmin",
    "SubscriptionAdmin",
    "SubscriptionItemAdmin",
    "SubscriptionPauseAdmin",
    "TaxRateAdmin",
    "UnexplainedItemAdmin",
    "UsageCycleAdmin",
]
