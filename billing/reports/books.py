"""What the ledger and the documents say: revenue, tax, fees, the journal, what is unpaid and what failed."""

from django.utils.translation import gettext_lazy as _

from billing.models import AccountKind
from billing.reports.base import CellType, Column, Report

# What is earned: what was sold, less what was refunded or lost in disputes.
EARNED = (AccountKind.REVENUE, AccountKind.REFUNDS, AccountKind.DISPUTES)
REVENUE = Report(
    code="revenue",
    title=_("Revenue"),
    description=_("What was earned each day, without tax, less what was given back."),
    query=f"""
        SELECT (entry.at AT TIME ZONE 'UTC')::date AS day, posting.currency,
            coalesce(sum(posting.amount_minor) FILTER (WHERE account.kind = 'revenue'), 0)::bigint AS sold,
            coalesce(sum(posting.amount_minor) FILTER (WHERE account.kind = 'refunds'), 0)::bigint AS refunded,
            coalesce(sum(posting.amount_minor) FILTER (WHERE account.kind = 'disputes'), 0)::bigint AS disputed,
            sum(posting.amount_minor)::bigint AS revenue
        FROM billing_posting posting
        JOIN billing_ledgeraccount account ON account.id = posting.account_id
        JOIN billing_journalentry entry ON entry.id = posting.entry_id
        WHERE account.kind IN {tuple(map(str, EARNED))} AND entry.at >= %(since)s AND entry.at < %(until)s
        GROUP BY day, posting.currency ORDER BY posting.currency, day""",
    columns=(
        Column("day", _("Day"), CellType.DAY),
        Column("currency", _("Currency")),
        Column("sold", _("Sold"), CellType.MONEY),
        Column("refunded", _("Refunded"), CellType.MONEY),
        Column("disputed", _("Disputed"), CellType.MONEY),
        Column("revenue", _("Revenue"), CellType.MONEY),
    ),
    chart="revenue",
)

# A credit note has one net amount and one of tax. Both are shared among the rates as those of its invoice are.
TAX = Report(
    code="tax",
    title=_("Tax"),
    description=_("The tax of the invoices issued each month, by country and rate, less that of their credit notes."),
    query="""
        WITH line AS (
            SELECT invoice.issued_at AS at, tax.jurisdiction, tax.name, tax.rate, tax.currency,
                tax.net_minor::numeric AS net, tax.tax_minor::numeric AS tax
            FROM billing_invoicetax tax JOIN billing_invoice invoice ON invoice.id = tax.invoice_id
            WHERE invoice.issued_at IS NOT NULL AND invoice.state <> 'void'
            UNION ALL
            SELECT note.issued_at, tax.jurisdiction, tax.name, tax.rate, tax.currency,
                coalesce(-tax.net_minor * note.net_minor::numeric / nullif(invoice.net_minor, 0), 0),
                coalesce(-tax.tax_minor * note.tax_minor::numeric / nullif(invoice.tax_minor, 0), 0)
            FROM billing_creditnote note
            JOIN billing_invoice invoice ON invoice.id = note.invoice_id
            JOIN billing_invoicetax tax ON tax.invoice_id = invoice.id
            WHERE note.voided_at IS NULL
        )
        SELECT date_trunc('month', at AT TIME ZONE 'UTC')::date AS month, jurisdiction, name, rate, currency,
            round(sum(net))::bigint AS net, round(sum(tax))::bigint AS tax
        FROM line WHERE at >= %(since)s AND at < %(until)s
        GROUP BY month, jurisdiction, name, rate, currency ORDER BY month, jurisdiction, rate, currency""",
    columns=(
        Column("month", _("Month"), CellType.MONTH),
        Column("jurisdiction", _("Country")),
        Column("name", _("Tax")),
        Column("rate", _("Rate"), CellType.PERCENT),
        Column("currency", _("Currency")),
        Column("net", _("Taxed amount"), CellType.MONEY),
        Column("tax", _("Tax owed"), CellType.MONEY),
    ),
)

FEES = Report(
    code="fees",
    title=_("Fees"),
    description=_("What each gateway took in each month, and what it kept of it."),
    query="""
        WITH line AS (
            SELECT date_trunc('month', entry.at AT TIME ZONE 'UTC')::date AS month, account.gateway, posting.currency,
                coalesce(sum(-posting.amount_minor) FILTER (
                    WHERE account.kind = 'clearing' AND entry.kind IN ('payment', 'under_review')), 0)::bigint
                    AS received,
                coalesce(sum(-posting.amount_minor) FILTER (WHERE account.kind = 'gateway_fees'), 0)::bigint AS fees,
                coalesce(sum(-posting.amount_minor) FILTER (WHERE account.kind = 'dispute_fees'), 0)::bigint
                    AS dispute_fees
            FROM billing_posting posting
            JOIN billing_ledgeraccount account ON account.id = posting.account_id
            JOIN billing_journalentry entry ON entry.id = posting.entry_id
            WHERE account.kind IN ('clearing', 'gateway_fees', 'dispute_fees')
                AND entry.at >= %(since)s AND entry.at < %(until)s
            GROUP BY month, account.gateway, posting.currency
        )
        SELECT *, round((fees + dispute_fees) * 100.0 / nullif(received, 0), 2) AS share
        FROM line ORDER BY month, gateway, currency""",
    columns=(
        Column("month", _("Month"), CellType.MONTH),
        Column("gateway", _("Gateway")),
        Column("currency", _("Currency")),
        Column("received", _("Received"), CellType.MONEY),
        Column("fees", _("Fees"), CellType.MONEY),
        Column("dispute_fees", _("Dispute fees"), CellType.MONEY),
        Column("share", _("Share"), CellType.PERCENT),
    ),
)

# What was paid or voided since was still owed then. Of this minute what is open is enough, which has an index.
UNPAID = Report(
    code="unpaid",
    title=_("Unpaid invoices"),
    description=_("What customers owed at the end of the time chosen, by how long it had been due."),
    query="""
        WITH open AS (
            SELECT currency, total_minor, greatest(0, extract(day FROM %(until)s - coalesce(due_at, issued_at))) AS days
            FROM (
                SELECT * FROM billing_invoice WHERE state IN ('open', 'overdue')
                UNION ALL
                SELECT * FROM billing_invoice WHERE %(until)s < now() - interval '1 minute'
                    AND state IN ('paid', 'refunded', 'void') AND coalesce(voided_at, paid_at) >= %(until)s
            ) owed
            WHERE issued_at < %(until)s
        )
        SELECT currency,
            count(*) AS invoices, sum(total_minor)::bigint AS total,
            coalesce(sum(total_minor) FILTER (WHERE days = 0), 0)::bigint AS not_due,
            coalesce(sum(total_minor) FILTER (WHERE days BETWEEN 1 AND 7), 0)::bigint AS week,
            coalesce(sum(total_minor) FILTER (WHERE days BETWEEN 8 AND 30), 0)::bigint AS month,
            coalesce(sum(total_minor) FILTER (WHERE days > 30), 0)::bigint AS longer
        FROM open GROUP BY currency ORDER BY currency""",
    columns=(
        Column("currency", _("Currency")),
        Column("invoices", _("Invoices"), CellType.NUMBER),
        Column("total", _("Total"), CellType.MONEY),
        Column("not_due", _("Not yet due"), CellType.MONEY),
        Column("week", _("1–7 days"), CellType.MONEY),
        Column("month", _("8–30 days"), CellType.MONEY),
        Column("longer", _("Longer"), CellType.MONEY),
    ),
)

FAILED = Report(
    code="failed-payments",
    title=_("Failed payments"),
    description=_("Payments that failed, by gateway and reason."),
    query="""
        SELECT gateway, failure, currency, count(*) AS payments, sum(amount_minor)::bigint AS amount,
            max(created_at AT TIME ZONE 'UTC')::date AS last
        FROM billing_payment WHERE state = 'failed' AND created_at >= %(since)s AND created_at < %(until)s
        GROUP BY gateway, failure, currency ORDER BY payments DESC, gateway, failure""",
    columns=(
        Column("gateway", _("Gateway")),
        Column("failure", _("Reason")),
        Column("currency", _("Currency")),
        Column("payments", _("Payments"), CellType.NUMBER),
        Column("amount", _("Amount"), CellType.MONEY),
        Column("last", _("Last on"), CellType.DAY),
    ),
)

JOURNAL = Report(
    code="journal",
    title=_("Journal"),
    description=_("Every posting of the ledger, for an accountant: debit and credit in two columns."),
    query="""
        SELECT (entry.at AT TIME ZONE 'UTC')::date AS day, entry.reference AS entry, entry.kind,
            account.kind AS account, account.gateway, coalesce(organization.name, '') AS customer,
            coalesce(invoice.number, '') AS document,
            posting.currency, greatest(-posting.amount_minor, 0)::bigint AS debit,
            greatest(posting.amount_minor, 0)::bigint AS credit
        FROM billing_posting posting
        JOIN billing_journalentry entry ON entry.id = posting.entry_id
        JOIN billing_ledgeraccount account ON account.id = posting.account_id
        LEFT JOIN accounts_organization organization ON organization.id = entry.organization_id
        LEFT JOIN billing_invoice invoice ON invoice.id = entry.invoice_id
        WHERE entry.at >= %(since)s AND entry.at < %(until)s ORDER BY entry.at, entry.id, posting.id""",
    columns=(
        Column("day", _("Day"), CellType.DAY),
        Column("entry", _("Entry")),
        Column("kind", _("Kind")),
        Column("account", _("Account")),
        Column("gateway", _("Gateway")),
        Column("customer", _("Customer")),
        Column("document", _("Invoice")),
        Column("currency", _("Currency")),
        Column("debit", _("Debit"), CellType.MONEY),
        Column("credit", _("Credit"), CellType.MONEY),
    ),
)
