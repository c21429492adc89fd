"""Paying many invoices from their organizations' wallets, in statements about all of them.

As `invoicing.pay_charges`, for invoices that renew subscriptions and that no payment has come for.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

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
TO_PAY = "CREATE TEMPORARY TABLE IF NOT EXISTS billing_to_pay (id uuid) ON COMMIT DELETE ROWS"
# What each of them takes from which account: the wallet, or what was reserved for its hours. Promotional credit goes
# first, as in `ledger.spend`; what hours cost was taken before.
CHARGES = """CREATE TEMPORARY TABLE IF NOT EXISTS billing_charge (entry_id uuid, invoice_id uuid, organization_id uuid,
    currency text, net_minor bigint, tax_minor bigint, total_minor bigint, paying_id uuid, promotional_minor bigint
) ON COMMIT DELETE ROWS"""
CHARGE = """
    INSERT INTO billing_charge SELECT uuidv7(), invoice.id, invoice.organization_id, invoice.currency,
        invoice.net_minor, invoice.tax_minor, invoice.total_minor, paying.id,
        greatest(0, least(invoice.total_minor, paying.promotional_minor + invoice.total_minor
            - sum(invoice.total_minor) OVER (PARTITION BY paying.id ORDER BY invoice.due_at, invoice.id)))
    FROM billing_to_pay JOIN billing_invoice invoice USING (id)
    JOIN billing_ledgeraccount paying ON paying.organization_id = invoice.organization_id
        AND paying.kind = CASE WHEN invoice.usage_month IS NULL THEN 'wallet' ELSE 'reserved_credit' END
        AND paying.currency = invoice.currency AND paying.gateway = ''
    WHERE invoice.total_minor > 0 ORDER BY invoice.organization_id, invoice.due_at, invoice.id"""
# From the wallet to revenue, and to the tax that is owed to the tax office.
POSTINGS = """FROM billing_charge charge
    JOIN billing_ledgeraccount revenue ON revenue.kind = 'revenue' AND revenue.organization_id IS NULL
        AND revenue.gateway = '' AND revenue.currency = charge.currency
    JOIN billing_ledgeraccount tax ON tax.kind = 'tax' AND tax.organization_id IS NULL
        AND tax.gateway = '' AND tax.currency = charge.currency
    LEFT JOIN billing_ledgeraccount promotional ON charge.promotional_minor > 0
        AND promotional.organization_id = charge.organization_id AND promotional.kind = 'promotional_credit'
        AND promotional.currency = charge.currency AND promotional.gateway = ''
    CROSS JOIN LATERAL (VALUES
        (charge.paying_id, charge.organization_id, charge.promotional_minor - charge.total_minor),
        (promotional.id, charge.organization_id, -charge.promotional_minor),
        (revenue.id, NULL, charge.net_minor), (tax.id, NULL, charge.tax_minor)) line (account_id, owner, amount_minor)
    WHERE line.amount_minor <> 0 ORDER BY charge.entry_id"""
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
    batches.execute("DELETE FROM billing_to_pay")


def pay(*, at: datetime) -> int:
    """Pay the open invoices in billing_to_pay, and renew their subscriptions; how many.

    The caller holds the locks of invoices, subscriptions and wallets, and has seen that each wallet has enough.
    """
    params = {"at": at, "kind": EntryKind.CHARGE}
    batches.execute(CHARGES)
    batches.execute("DELETE FROM billing_charge")
    if batches.execute(CHARGE):
        _post(params)
    renewed = batches.ids(ADVANCED, params)
    paid = batches.ids(PAID, params)
    events.invoices_paid.send(Invoice, invoice_ids=paid, at=at)
    events.subscriptions_recovered.send(Subscription, subscription_ids=renewed, at=at)
    return len(paid)


def _post(params: Mapping[str, Any]) -> None:
    """Write an entry with its postings and an allocation for each row of billing_charge."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT currency FROM billing_charge")
        for (currency,) in cursor.fetchall():
            ledger.account_of(AccountKind.REVENUE, currency)
            ledger.account_of(AccountKind.TAX, currency)
    source = "FROM billing_charge charge ORDER BY charge.entry_id"
    owned = {"organization_id": "charge.organization_id", "invoice_id": "charge.invoice_id", "at": "%(at)s"}
    entry = {"id": "charge.entry_id", "reference": "'invoice:' || charge.invoice_id::text", "kind": "%(kind)s"}
    bulk.insert_from(JournalEntry, owned | entry, source, params)
    posted = {
        "entry_id": "charge.entry_id",
        "account_id": "line.account_id",
        "organization_id": "line.owner",
        "amount_minor": "line.amount_minor",
        "currency": "charge.currency",
    }
    bulk.insert_from(Posting, posted, POSTINGS, params)
    amount = {"amount_minor": "charge.total_minor", "currency": "charge.currency"}
    bulk.insert_from(PaymentAllocation, owned | amount, source, params)
