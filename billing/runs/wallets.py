"""Paying many invoices from their organizations' wallets, in statements about all of them.

As `invoicing.pay_charges`, for invoices that renew subscriptions and that no payment has come for.
"""

from datetime import datetime

from django.db import connection

from billing import events, ledger
from billing.models import (
    AccountKind,
    EntryKind,
    Invoice,
    JournalEntry,
    PaymentAllocation,
    Posting,
    Subscription,
)
from billing.runs import batches
from core import bulk

# The invoices that are to be paid now.
TO_PAY = """CREATE TEMPORARY TABLE IF NOT EXISTS billing_to_pay (id uuid, promotional_minor bigint NOT NULL DEFAULT 0)
    ON COMMIT DELETE ROWS"""
INVOICES = "FROM billing_to_pay JOIN billing_invoice invoice USING (id)"
BILLED = f"{INVOICES} WHERE invoice.total_minor > 0 ORDER BY invoice.organization_id, invoice.due_at, invoice.id"
# Promotional credit goes first, as in `ledger.spend`. What hours cost was taken before.
PROMOTIONAL = """
    UPDATE billing_to_pay SET promotional_minor = split.minor
    FROM (SELECT invoice.id, least(invoice.total_minor, wallet.promotional_minor - sum(invoice.total_minor) OVER (
            PARTITION BY wallet.id ORDER BY invoice.due_at, invoice.id) + invoice.total_minor) AS minor
        FROM billing_to_pay JOIN billing_invoice invoice USING (id)
        JOIN billing_ledgeraccount wallet ON wallet.kind = 'wallet' AND wallet.gateway = ''
            AND wallet.organization_id = invoice.organization_id AND wallet.currency = invoice.currency
        WHERE wallet.promotional_minor > 0 AND invoice.usage_month IS NULL) split
    WHERE billing_to_pay.id = split.id AND split.minor > 0"""
# From the wallet to revenue, and to the tax that is owed to the tax office; what hours cost was taken from it before.
POSTINGS = f"""{INVOICES} JOIN billing_journalentry entry ON entry.reference = 'invoice:' || invoice.id::text
    JOIN billing_ledgeraccount paying ON paying.organization_id = invoice.organization_id
        AND paying.kind = CASE WHEN invoice.usage_month IS NULL THEN 'wallet' ELSE 'reserved_credit' END
        AND paying.currency = invoice.currency AND paying.gateway = ''
    JOIN billing_ledgeraccount revenue
        ON (revenue.kind, revenue.gateway, revenue.currency) = ('revenue', '', invoice.currency)
    JOIN billing_ledgeraccount tax ON (tax.kind, tax.gateway, tax.currency) = ('tax', '', invoice.currency)
    LEFT JOIN billing_ledgeraccount promotional ON billing_to_pay.promotional_minor > 0
        AND promotional.organization_id = invoice.organization_id AND promotional.kind = 'promotional_credit'
        AND promotional.currency = invoice.currency AND promotional.gateway = ''
    CROSS JOIN LATERAL (VALUES
        (paying.id, invoice.organization_id, billing_to_pay.promotional_minor - invoice.total_minor),
        (promotional.id, invoice.organization_id, -billing_to_pay.promotional_minor),
        (revenue.id, NULL, invoice.net_minor), (tax.id, NULL, invoice.tax_minor)) line (account_id, owner, amount_minor)
    WHERE line.amount_minor <> 0 ORDER BY entry.id"""
PAID = """
    WITH paid AS (UPDATE billing_invoice SET state = 'paid', paid_at = %(at)s
        WHERE id IN (SELECT id FROM billing_to_pay) RETURNING id, organization_id, number, total_minor, currency),
    noted AS (INSERT INTO billing_fact SELECT 'paid', organization_id, coalesce(number, ''), %(at)s, total_minor,
        currency FROM paid)
    SELECT id FROM paid"""
# As subscriptions.advance: on to the period that is paid now, unless a later one is.
ADVANCED = """
    UPDATE billing_subscription subscription SET
        current_period_start = CASE WHEN paid.period_end > subscription.current_period_end THEN paid.period_start
            ELSE subscription.current_period_start END,
        current_period_end = greatest(paid.period_end, subscription.current_period_end),
        status = CASE WHEN subscription.status IN ('past_due', 'suspended') THEN 'active' ELSE subscription.status END
    FROM (SELECT DISTINCT ON (item.subscription_id) item.subscription_id, item.period_start, item.period_end
        FROM billing_to_pay JOIN billing_invoiceitem item ON item.invoice_id = billing_to_pay.id
        WHERE item.kind IN ('plan', 'addon') AND item.period_end IS NOT NULL
        ORDER BY item.subscription_id, item.period_end DESC) paid
    WHERE subscription.id = paid.subscription_id
        AND (paid.period_end > subscription.current_period_end OR subscription.status IN ('past_due', 'suspended'))
    RETURNING subscription.id"""


def prepare() -> None:
    """Begin with no invoices to pay."""
    batches.execute(TO_PAY)
    batches.execute("TRUNCATE billing_to_pay")


def pay(*, at: datetime) -> int:
    """Pay the open invoices in billing_to_pay, and renew their subscriptions; how many.

    The caller holds the locks of invoices, subscriptions and wallets, and has seen that each wallet has enough.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT invoice.currency {INVOICES} WHERE invoice.total_minor > 0")
        for (currency,) in cursor.fetchall():
            ledger.account_of(AccountKind.REVENUE, currency)
            ledger.account_of(AccountKind.TAX, currency)
    batches.execute(PROMOTIONAL)
    params = {"at": at, "kind": EntryKind.CHARGE}
    owned = {"organization_id": "invoice.organization_id", "invoice_id": "invoice.id", "at": "%(at)s"}
    reference = {"reference": "'invoice:' || invoice.id::text", "kind": "%(kind)s"}
    if bulk.insert_from(JournalEntry, owned | reference, BILLED, params):
        posted = {
            "entry_id": "entry.id",
            "account_id": "line.account_id",
            "organization_id": "line.owner",
            "amount_minor": "line.amount_minor",
            "currency": "invoice.currency",
        }
        bulk.insert_from(Posting, posted, POSTINGS, params)
        amount = {"amount_minor": "invoice.total_minor", "currency": "invoice.currency"}
        bulk.insert_from(PaymentAllocation, owned | amount, BILLED, params)
    renewed = batches.ids(ADVANCED, params)
    paid = batches.ids(PAID, params)
    events.invoices_paid.send(Invoice, invoice_ids=paid, at=at)
    events.subscriptions_recovered.send(Subscription, subscription_ids=renewed, at=at)
    return len(paid)
