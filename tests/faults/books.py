"""What must hold in the books at every moment, whatever happened before: each check returns the rows that break it."""

from collections.abc import Mapping

from django.db import connection

ALWAYS: Mapping[str, str] = {
    "an entry does not sum to zero": """
        SELECT entry_id, currency, sum(amount_minor) FROM billing_posting
        GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0""",
    "a balance is not the sum of its postings": """
        SELECT account.id, account.kind, account.balance_minor, coalesce(sum(posting.amount_minor), 0)
        FROM billing_ledgeraccount account LEFT JOIN billing_posting posting ON posting.account_id = account.id
        WHERE account.organization_id IS NOT NULL
        GROUP BY account.id HAVING account.balance_minor <> coalesce(sum(posting.amount_minor), 0)""",
    "an issued invoice is not its items and its tax": """
        SELECT invoice.id, invoice.net_minor, invoice.tax_minor FROM billing_invoice invoice
        WHERE invoice.state <> 'draft' AND (
            net_minor <> (SELECT coalesce(sum(amount_minor), 0) FROM billing_invoiceitem WHERE invoice_id = invoice.id)
            OR tax_minor <> (SELECT coalesce(sum(tax_minor), 0) FROM billing_invoicetax WHERE invoice_id = invoice.id)
            OR net_minor + tax_minor <> total_minor)""",
    "a paid invoice is not its allocations": """
        SELECT invoice.id, invoice.total_minor, coalesce(sum(allocation.amount_minor), 0) FROM billing_invoice invoice
        LEFT JOIN billing_paymentallocation allocation ON allocation.invoice_id = invoice.id
        WHERE invoice.state IN ('paid', 'refunded')
        GROUP BY invoice.id HAVING invoice.total_minor <> coalesce(sum(allocation.amount_minor), 0)""",
    "a refunded invoice kept some of its money": """
        SELECT invoice.id, invoice.total_minor, coalesce(sum(reversal.amount_minor), 0) FROM billing_invoice invoice
        LEFT JOIN billing_paymentallocation allocation ON allocation.invoice_id = invoice.id
        LEFT JOIN billing_allocationreversal reversal
            ON reversal.allocation_id = allocation.id AND reversal.undone_at IS NULL
        WHERE invoice.state = 'refunded'
        GROUP BY invoice.id HAVING invoice.total_minor <> coalesce(sum(reversal.amount_minor), 0)""",
    "money pays an invoice that is not paid": """
        SELECT invoice.id, invoice.state FROM billing_invoice invoice
        JOIN billing_paymentallocation allocation ON allocation.invoice_id = invoice.id
        WHERE invoice.state NOT IN ('paid', 'refunded')""",
    "a payment's refunds are not what it says": """
        SELECT payment.id, payment.refunded_minor, coalesce(sum(refund.amount_minor), 0) FROM billing_payment payment
        LEFT JOIN billing_refund refund ON refund.payment_id = payment.id AND refund.state <> 'failed'
        GROUP BY payment.id HAVING payment.refunded_minor <> coalesce(sum(refund.amount_minor), 0)""",
    "a payment's lost disputes are not what it says": """
        SELECT payment.id, payment.lost_minor, coalesce(sum(dispute.lost_minor), 0) FROM billing_payment payment
        LEFT JOIN billing_dispute dispute ON dispute.payment_id = payment.id
        GROUP BY payment.id HAVING payment.lost_minor <> coalesce(sum(dispute.lost_minor), 0)""",
    "money that a lost dispute took can be refunded": """
        SELECT payment.id FROM billing_payment payment JOIN billing_dispute dispute ON dispute.payment_id = payment.id
        WHERE NOT dispute.is_won AND dispute.currency = payment.received_currency
        AND dispute.lost_minor < dispute.amount_minor
        AND payment.received_minor > payment.refunded_minor + payment.lost_minor""",
    "a number is missing": """
        SELECT series_id, sequence_year, count(*), max(sequence) FROM (
            SELECT series_id, sequence_year, sequence FROM billing_invoice WHERE issued_at IS NOT NULL
            UNION ALL SELECT series_id, sequence_year, sequence FROM billing_creditnote
        ) document GROUP BY series_id, sequence_year HAVING count(*) <> max(sequence) OR min(sequence) <> 1""",
    "a refunded invoice has no credit note over all of it": """
        SELECT invoice.id FROM billing_invoice invoice WHERE state = 'refunded' AND total_minor <> (
            SELECT coalesce(sum(total_minor), 0) FROM billing_creditnote WHERE invoice_id = invoice.id)""",
    "reserved credit is not that of the open payments": """
        SELECT account.organization_id, account.currency, account.balance_minor FROM billing_ledgeraccount account
        WHERE account.kind = 'reserved_credit' AND account.balance_minor <> (
            SELECT coalesce(sum(credit_minor), 0) FROM billing_payment payment
            WHERE payment.organization_id = account.organization_id AND payment.currency = account.currency
                AND payment.state IN ('pending', 'processing'))""",
    # Of each kind of account and currency: what is posted, and what the rows say.
    "an account is not what the rows say": """
        WITH reversal AS (
            SELECT currency, amount_minor, dispute_id, allocation_id FROM billing_allocationreversal
            WHERE undone_at IS NULL
        ), said (kind, currency, minor) AS (
            SELECT 'suspense', received_currency, received_minor - refunded_minor - lost_minor FROM billing_payment
            WHERE review_reason <> '' AND accepted_at IS NULL AND received_minor > 0
            UNION ALL SELECT 'credit', received_currency, received_minor - refunded_minor - lost_minor
            FROM billing_payment WHERE (review_reason = '' OR accepted_at IS NOT NULL) AND received_minor > 0
            UNION ALL SELECT 'credit', currency, -amount_minor FROM billing_paymentallocation
            UNION ALL SELECT 'credit', currency, amount_minor FROM reversal
            UNION ALL SELECT 'sales', currency, total_minor FROM billing_invoice WHERE state IN ('paid', 'refunded')
            UNION ALL SELECT 'refunds', currency, -amount_minor FROM reversal WHERE dispute_id IS NULL
            UNION ALL SELECT 'disputes', currency, -amount_minor FROM reversal WHERE dispute_id IS NOT NULL
            UNION ALL SELECT 'disputes', currency, lost_minor - amount_minor FROM billing_dispute
            WHERE is_won IS NOT TRUE
        ), posted (kind, currency, minor) AS (
            SELECT CASE WHEN account.kind IN ('wallet', 'reserved_credit', 'receivable') THEN 'credit'
                WHEN account.kind IN ('revenue', 'tax') THEN 'sales' ELSE account.kind END,
                posting.currency, posting.amount_minor
            FROM billing_posting posting JOIN billing_ledgeraccount account ON account.id = posting.account_id
            WHERE account.kind IN (
                'suspense', 'wallet', 'reserved_credit', 'receivable', 'revenue', 'tax', 'refunds', 'disputes'
            )
        )
        SELECT kind, currency, sum(posted) AS posted, sum(said) AS said FROM (
            SELECT kind, currency, minor AS posted, 0 AS said FROM posted
            UNION ALL SELECT kind, currency, 0, minor FROM said
        ) compared GROUP BY kind, currency HAVING sum(posted) <> sum(said)""",
}


def broken_rules() -> dict[str, list[tuple[object, ...]]]:
    """The rules that do not hold now, each with the rows that break it."""
    broken = {}
    with connection.cursor() as cursor:
        for rule, query in ALWAYS.items():
            cursor.execute(query)
            if rows := cursor.fetchall():
                broken[rule] = rows
    return broken
