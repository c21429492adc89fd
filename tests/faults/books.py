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
    "suspense is not the money under review": """
        SELECT * FROM (
            SELECT coalesce(sum(posting.amount_minor), 0) AS booked FROM billing_posting posting
            JOIN billing_ledgeraccount account ON account.id = posting.account_id WHERE account.kind = 'suspense'
        ) ledger, (
            SELECT coalesce(sum(received_minor - refunded_minor), 0) AS held FROM billing_payment
            WHERE state = 'under_review'
        ) payments WHERE booked <> held""",
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
