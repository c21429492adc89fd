"""When revenue is earned, and the ledger as accountants' programs read it."""

from django.utils.translation import gettext_lazy as _

from billing.reports.base import CellType, Column, Report

# A line without a period is earned when it is paid. What is credited of an invoice takes the end of its time: at any
# instant, each line has earned the part of its time that is over, but no more than the part left of the invoice. The
# lines are summed and rounded once at each beginning of a month: so the months of an invoice add up to its net amount
# less its credit notes.
RECOGNISED = Report(
    code="recognised-revenue",
    title=_("Recognised revenue"),
    description=_(
        "What was earned in each month, without tax: a year that is paid in advance counts a little each day."
        " Later is what was paid for a time after the month. A credit note takes first what is not earned yet;"
        " Taken back is what had been earned before its month."
    ),
    query="""
        WITH boundary AS (
            SELECT at FROM generate_series(date_trunc('month', %(since)s::timestamptz, 'UTC'),
                %(until)s::timestamptz - interval '1 microsecond' + interval '1 month', interval '1 month') at
        ), line AS (
            SELECT invoice.id, item.currency, coalesce(item.period_start, invoice.paid_at) AS since,
                greatest(coalesce(item.period_end, invoice.paid_at), coalesce(item.period_start, invoice.paid_at))
                    AS until, invoice.paid_at, invoice.net_minor,
                CASE WHEN invoice.is_tax_inclusive
                    THEN item.amount_minor * invoice.net_minor::numeric / nullif(invoice.total_minor, 0)
                    ELSE item.amount_minor END AS minor
            FROM billing_invoiceitem item JOIN billing_invoice invoice ON invoice.id = item.invoice_id
            WHERE invoice.state IN ('paid', 'refunded') AND item.kind <> 'top_up'
        ), credited AS (
            SELECT boundary.at, note.invoice_id AS id, sum(note.net_minor) AS minor
            FROM boundary JOIN billing_creditnote note ON note.issued_at < boundary.at AND note.voided_at IS NULL
            GROUP BY 1, 2
        ), reached AS (
            SELECT at, id, line.currency, line.paid_at, line.minor,
                1 - coalesce(credited.minor / nullif(line.net_minor, 0), 0) AS part_left,
                CASE WHEN line.until > line.since THEN least(1, greatest(0,
                        extract(epoch FROM at - line.since) / extract(epoch FROM line.until - line.since)))
                    WHEN line.since < at THEN 1 ELSE 0 END AS part_over
            FROM boundary CROSS JOIN line LEFT JOIN credited USING (at, id)
        ), summed AS (
            SELECT id, at, currency, paid_at < at AS is_paid, round(sum(minor * part_left)) AS whole,
                round(sum(minor * least(part_over, part_left))) AS after
            FROM reached GROUP BY id, at, currency, paid_at
        ), earned AS (
            SELECT summed.*, lag(at) OVER invoice AS month, lag(after) OVER invoice AS before
            FROM summed WINDOW invoice AS (PARTITION BY id ORDER BY at)
        )
        SELECT (month AT TIME ZONE 'UTC')::date AS month, currency,
            sum(greatest(after - before, 0))::bigint AS earned,
            sum(greatest(before - after, 0))::bigint AS credited,
            sum(after - before)::bigint AS revenue,
            coalesce(sum(whole - after) FILTER (WHERE is_paid), 0)::bigint AS later
        FROM earned WHERE month IS NOT NULL
        GROUP BY month, currency ORDER BY currency, month""",
    columns=(
        Column("month", _("Month"), CellType.MONTH),
        Column("currency", _("Currency")),
        Column("earned", _("Earned"), CellType.MONEY),
        Column("credited", _("Taken back"), CellType.MONEY),
        Column("revenue", _("Revenue"), CellType.MONEY),
        Column("later", _("Later"), CellType.MONEY),
    ),
    months=11,
    chart="revenue",
)

# Numbers as in the German chart of accounts SKR 03; accountants map them on import where theirs differ.
_NUMBERS = """(VALUES ('wallet', '1710'), ('reserved_credit', '1711'), ('promotional_credit', '1712'),
    ('commission', '1703'), ('receivable', '1400'), ('revenue', '8400'), ('deferred_revenue', '0990'), ('tax', '1776'),
    ('clearing', '1360'), ('bank', '1200'), ('gateway_fees', '4970'), ('dispute_fees', '4971'), ('refunds', '8700'),
    ('disputes', '8701'), ('suspense', '1361'), ('unexplained', '1362'), ('promotions', '8702'),
    ('commissions', '4760'), ('fx', '2660'), ('rounding', '2661')) AS number (kind, number)"""

# An entry of several lines is booked against its largest: each other line with it as the contra account.
DATEV = Report(
    code="datev",
    title=_("Bookings for DATEV"),
    description=_(
        "Every entry of the ledger as bookings of an account and a contra account, in the columns of DATEV's format"
        " with the account numbers of SKR 03. S is debit and H is credit."
    ),
    query=f"""
        WITH line AS (
            SELECT posting.*, account.kind, number.number, first_value(posting.id) OVER largest AS contra_id,
                first_value(number.number) OVER largest AS contra
            FROM billing_posting posting
            JOIN billing_ledgeraccount account ON account.id = posting.account_id
            JOIN {_NUMBERS} USING (kind)
            JOIN billing_journalentry entry ON entry.id = posting.entry_id
            WHERE entry.at >= %(since)s AND entry.at < %(until)s
            WINDOW largest AS (PARTITION BY posting.entry_id, posting.currency
                ORDER BY abs(posting.amount_minor) DESC, posting.id)
        )
        SELECT abs(line.amount_minor)::bigint AS "Umsatz", CASE WHEN line.amount_minor < 0 THEN 'S' ELSE 'H' END
                AS "Soll/Haben-Kennzeichen", line.currency,
            line.number AS "Konto", line.contra AS "Gegenkonto (ohne BU-Schlüssel)",
            (entry.at AT TIME ZONE 'UTC')::date AS "Belegdatum", coalesce(invoice.number, '') AS "Belegfeld 1",
            left(concat_ws(' ', entry.kind, organization.name), 60) AS "Buchungstext", entry.reference AS "Belegfeld 2"
        FROM line
        JOIN billing_journalentry entry ON entry.id = line.entry_id
        LEFT JOIN accounts_organization organization ON organization.id = entry.organization_id
        LEFT JOIN billing_invoice invoice ON invoice.id = entry.invoice_id
        WHERE line.id <> line.contra_id ORDER BY entry.at, entry.id, line.id""",
    columns=(
        Column("Umsatz", "Umsatz", CellType.MONEY),
        Column("Soll/Haben-Kennzeichen", "S/H"),
        Column("currency", _("Currency")),
        Column("Konto", "Konto"),
        Column("Gegenkonto (ohne BU-Schlüssel)", "Gegenkonto"),
        Column("Belegdatum", "Belegdatum", CellType.DAY),
        Column("Belegfeld 1", "Belegfeld 1"),
        Column("Buchungstext", "Buchungstext"),
        Column("Belegfeld 2", "Belegfeld 2"),
    ),
)
