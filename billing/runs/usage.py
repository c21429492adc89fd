"""Charging hours of use, in statements about all organizations of a batch.

The hours of a month are lines of one draft for each organization and currency: hours times price, rounded once, with
the tax that the draft was begun with. What an hour adds to the draft's total is taken from the wallet, so that the
invoice of the month is exactly what was taken, however often it was added to.

Where a wallet does not pay all hours that are due, it pays the earlier ones first, and of an hour those of the servers
that run before those that are to resume, of each the oldest first. What costs more than is left is passed over.
"""

from collections.abc import Mapping
from typing import Any

from billing.models import (
    EntryKind,
    Invoice,
    InvoiceItem,
    InvoiceTax,
    ItemKind,
    JournalEntry,
    LedgerAccount,
    Posting,
    UsageCycle,
)
from billing.runs import batches
from core import bulk

# Of the range, or of these subscriptions in it.
OF_SUBSCRIPTION = f"""{batches.OF_SUBSCRIPTION}
    AND (%(only)s::uuid[] IS NULL OR subscription.id = ANY (%(only)s::uuid[]))"""
# Those with an hour that is to be charged now. Of one that ends with its period no further hour is.
DUE = """
    FROM billing_subscription subscription
    WHERE subscription.metered_from IS NOT NULL AND subscription.status = 'active'
        AND NOT subscription.cancels_at_period_end AND subscription.current_period_end <= %(last_hour)s"""
# Those that their wallet did not pay for, and that resume if it pays what they ran unpaid and the started hour.
SUSPENDED = """
    FROM billing_subscription subscription JOIN billing_ledgeraccount wallet ON wallet.kind = 'wallet'
        AND wallet.organization_id = subscription.organization_id AND wallet.currency = subscription.currency
    WHERE subscription.metered_from IS NOT NULL AND subscription.status = 'suspended'
        AND NOT subscription.cancels_at_period_end AND wallet.balance_minor + wallet.promotional_minor > 0"""
# A plan that is changed within an hour costs its old price until the next one.
ITEM_OF_HOUR = """item.kind IN ('plan', 'addon') AND item.valid_from < {hour} + interval '1 hour'
    AND (item.valid_until IS NULL OR item.valid_until > {hour})"""
TABLES = (
    """CREATE TEMPORARY TABLE IF NOT EXISTS billing_usage_hour (organization_id uuid, currency text, month date,
        subscription_id uuid, is_resumed boolean, hour timestamptz, unit_minor numeric) ON COMMIT DELETE ROWS""",
    """CREATE TEMPORARY TABLE IF NOT EXISTS billing_usage_line (organization_id uuid, currency text, month date,
        subscription_id uuid, item_id uuid, invoice_item_id uuid, hours bigint, quantity numeric, unit_minor numeric,
        amount_minor bigint, added_minor bigint, period_start timestamptz, period_end timestamptz
    ) ON COMMIT DELETE ROWS""",
    """CREATE TEMPORARY TABLE IF NOT EXISTS billing_usage_invoice (id uuid, is_new boolean, organization_id uuid,
        currency text, month date, lines_minor bigint, before_minor bigint, listed_minor bigint,
        is_tax_inclusive boolean, country text, category text, rate numeric, name text, jurisdiction text,
        wallet_id uuid, balance_minor bigint, step bigint, tax_minor bigint, net_minor bigint, added_minor bigint
    ) ON COMMIT DELETE ROWS""",
    """CREATE TEMPORARY TABLE IF NOT EXISTS billing_usage_short (organization_id uuid, currency text)
    ON COMMIT DELETE ROWS""",
    """CREATE TEMPORARY TABLE IF NOT EXISTS billing_usage_unpaid (subscription_id uuid, hour timestamptz)
    ON COMMIT DELETE ROWS""",
)
# Of an organization one month at a time, the earliest: a draft is of one month. Hours of a month whose invoice is
# issued are on that of the month after it.
HOURS = f"""
    INSERT INTO billing_usage_hour
    SELECT organization_id, currency, first_month, subscription.id, is_resumed, hour, coalesce((
        SELECT sum(item.quantity * item.unit_minor) FROM billing_subscriptionitem item
        WHERE item.subscription_id = subscription.id AND {ITEM_OF_HOUR.format(hour="hour")}), 0)
    FROM (SELECT due.*, min(month) OVER (PARTITION BY organization_id, currency) AS first_month
        FROM (SELECT used.*, greatest(date_trunc('month', timezone('UTC', first_hour)),
                (SELECT max(issued.usage_month) + interval '1 month' FROM billing_invoice issued
                    WHERE issued.organization_id = used.organization_id AND issued.currency = used.currency
                        AND issued.usage_month IS NOT NULL AND issued.state <> 'draft')) AS month
            FROM (SELECT subscription.id, subscription.organization_id, subscription.currency, false AS is_resumed,
                    subscription.current_period_end AS first_hour, %(last_hour)s + interval '1 hour' AS until
                {DUE}{OF_SUBSCRIPTION} AND subscription.id NOT IN (SELECT subscription_id FROM billing_usage_unpaid)
                UNION ALL SELECT subscription.id, subscription.organization_id, subscription.currency, true,
                    CASE WHEN subscription.current_period_end < subscription.unpaid_until
                        THEN subscription.current_period_end
                        ELSE greatest(subscription.current_period_end, %(resumed_hour)s::timestamptz) END,
                    coalesce(subscription.unpaid_until, subscription.current_period_end)
                {SUSPENDED}{OF_SUBSCRIPTION}
                    AND (%(only)s::uuid[] IS NULL OR subscription.current_period_end < subscription.unpaid_until)
                    AND subscription.id NOT IN (SELECT subscription_id FROM billing_usage_unpaid)) used) due
    ) subscription
    CROSS JOIN LATERAL (SELECT timezone('UTC', first_month + interval '1 month') AS month_end) draft
    CROSS JOIN LATERAL (SELECT generate_series(first_hour, least(until, month_end) - interval '1 hour',
            interval '1 hour') AS hour
        UNION SELECT resumed_hour FROM greatest(first_hour, %(resumed_hour)s::timestamptz) resumed_hour
            WHERE is_resumed AND %(only)s::uuid[] IS NULL AND resumed_hour < month_end) hours
    WHERE month = first_month"""
OF_DRAFT = """invoice.organization_id = {0}.organization_id AND invoice.currency = {0}.currency
        AND invoice.usage_month = {0}.month"""
# All that is to be charged, or again what is left for those whose wallets are short.
PRICED = """NOT %(is_again)s
        OR (organization_id, currency) IN (SELECT organization_id, currency FROM billing_usage_short)"""
LINES = f"""
    INSERT INTO billing_usage_line
    SELECT used.organization_id, used.currency, used.month, used.subscription_id, used.item_id, billed.id, used.hours,
        whole.quantity, used.unit_minor, whole.amount_minor, whole.amount_minor - coalesce(billed.amount_minor, 0),
        coalesce(billed.period_start, used.period_start), used.period_end
    FROM (SELECT hour.organization_id, hour.currency, hour.month, hour.subscription_id, item.id AS item_id,
            item.quantity, item.unit_minor, count(*) AS hours, min(hour.hour) AS period_start,
            max(hour.hour) + interval '1 hour' AS period_end
        FROM (SELECT * FROM billing_usage_hour WHERE {PRICED}) hour
        JOIN billing_subscriptionitem item ON item.subscription_id = hour.subscription_id
            AND {ITEM_OF_HOUR.format(hour="hour.hour")}
        GROUP BY hour.organization_id, hour.currency, hour.month, hour.subscription_id, item.id) used
    LEFT JOIN billing_invoice invoice ON {OF_DRAFT.format("used")}
    LEFT JOIN billing_invoiceitem billed ON billed.subscription_item_id = used.item_id
        AND billed.invoice_id = invoice.id
    CROSS JOIN LATERAL (SELECT coalesce(billed.quantity, 0) + used.hours * used.quantity AS quantity) so_far
    CROSS JOIN LATERAL (SELECT so_far.quantity,
        billing_round_half_even(so_far.quantity * used.unit_minor)::bigint AS amount_minor) whole"""
INVOICES = f"""
    INSERT INTO billing_usage_invoice
    SELECT taxed.*, taxed.listed_minor - included.minor,
        taxed.listed_minor - included.minor + taxed.tax_minor - taxed.before_minor
    FROM (SELECT draft.*, coalesce(billing_tax_amount(draft.listed_minor, draft.rate, draft.is_tax_inclusive,
            draft.step), 0) AS tax_minor
        FROM (SELECT coalesce(invoice.id, uuidv7()) AS id, invoice.id IS NULL AS is_new, used.*,
                coalesce(invoice.total_minor, 0) AS before_minor,
                used.lines_minor + coalesce(invoice.net_minor, 0)
                    + CASE WHEN invoice.is_tax_inclusive THEN invoice.tax_minor ELSE 0 END AS listed_minor,
                coalesce(invoice.is_tax_inclusive, tax.category IS NOT NULL AND %(is_inclusive)s) AS is_tax_inclusive,
                organization.country, coalesce(fixed.category, tax.category) AS category,
                coalesce(fixed.rate, tax.rate) AS rate, coalesce(fixed.name, tax.name) AS name,
                coalesce(fixed.jurisdiction, tax.jurisdiction) AS jurisdiction, wallet.id AS wallet_id,
                coalesce(wallet.balance_minor + wallet.promotional_minor, 0) AS balance_minor,
                coalesce(step.minor, 1) AS step
            FROM (SELECT organization_id, currency, month, sum(added_minor)::bigint AS lines_minor
                FROM billing_usage_line WHERE {PRICED} GROUP BY organization_id, currency, month) used
            JOIN accounts_organization organization ON organization.id = used.organization_id
            LEFT JOIN billing_invoice invoice ON {OF_DRAFT.format("used")}
            LEFT JOIN billing_invoicetax fixed ON fixed.invoice_id = invoice.id
            LEFT JOIN billing_ledgeraccount wallet ON wallet.kind = 'wallet' AND wallet.gateway = ''
                AND wallet.organization_id = used.organization_id AND wallet.currency = used.currency
            LEFT JOIN unnest(%(currencies)s::text[], %(steps)s::bigint[]) step (currency, minor)
                ON step.currency = used.currency
            LEFT JOIN LATERAL billing_tax_of(%(tax_status)s, %(tax_country)s, organization.country,
                organization.region, organization.has_vat_id, %(at)s) tax ON invoice.id IS NULL) draft) taxed
    CROSS JOIN LATERAL (SELECT CASE WHEN taxed.is_tax_inclusive THEN taxed.tax_minor ELSE 0 END AS minor) included"""

SHORT = """INSERT INTO billing_usage_short
    SELECT organization_id, currency FROM billing_usage_invoice WHERE added_minor > balance_minor"""
# What each hour adds to the lines of its server, rounded as they are, and from which hour on the wallet does not pay.
UNPAID = f"""
    INSERT INTO billing_usage_unpaid
    SELECT subscription_id, min(hour) FROM (
        SELECT paid.*, paid_minor - lag(paid_minor, 1, 0::bigint) OVER (
            PARTITION BY organization_id, currency ORDER BY hour, is_resumed, subscription_id) AS taken_minor
        FROM (SELECT added.*, billing_payable(added.minor, usage.listed_minor - usage.lines_minor, usage.rate,
                usage.is_tax_inclusive, usage.step, usage.before_minor + usage.balance_minor) OVER (
                PARTITION BY organization_id, currency ORDER BY hour, is_resumed, subscription_id) AS paid_minor
            FROM (SELECT organization_id, currency, subscription_id, is_resumed, hour, sum(
                    billing_round_half_even((before + place * quantity) * unit_minor)
                    - billing_round_half_even((before + (place - 1) * quantity) * unit_minor))::bigint AS minor
                FROM (SELECT hour.organization_id, hour.currency, hour.subscription_id, hour.is_resumed, hour.hour,
                        item.quantity, item.unit_minor, coalesce(billed.quantity, 0) AS before,
                        row_number() OVER (PARTITION BY item.id ORDER BY hour.hour) AS place
                    FROM billing_usage_short JOIN billing_usage_hour hour USING (organization_id, currency)
                    JOIN billing_usage_invoice usage USING (organization_id, currency)
                    JOIN billing_subscriptionitem item ON item.subscription_id = hour.subscription_id
                        AND {ITEM_OF_HOUR.format(hour="hour.hour")}
                    LEFT JOIN billing_invoiceitem billed ON billed.subscription_item_id = item.id
                        AND billed.invoice_id = usage.id) priced
                GROUP BY organization_id, currency, subscription_id, is_resumed, hour) added
            JOIN billing_usage_invoice usage USING (organization_id, currency)) paid
        ) taken WHERE taken_minor < minor GROUP BY subscription_id"""
LEAVE_OUT = """DELETE FROM billing_usage_hour used USING billing_usage_unpaid unpaid
    WHERE used.subscription_id = unpaid.subscription_id AND used.hour >= unpaid.hour"""
FORGET = """DELETE FROM {table} priced USING billing_usage_short short
    WHERE (priced.organization_id, priced.currency) = (short.organization_id, short.currency)"""
NEW_INVOICES = """FROM billing_usage_invoice usage JOIN accounts_organization organization
    ON organization.id = usage.organization_id WHERE usage.is_new ORDER BY usage.organization_id, usage.currency"""
NEW_INVOICE = {
    "id": "usage.id",
    "organization_id": "usage.organization_id",
    "series_id": "%(series)s",
    "currency": "usage.currency",
    "net_minor": "usage.net_minor",
    "tax_minor": "usage.tax_minor",
    "total_minor": "usage.net_minor + usage.tax_minor",
    "is_tax_inclusive": "usage.is_tax_inclusive",
    "billing_address": f"CASE WHEN usage.category IS NULL THEN '{{}}' ELSE {batches.ADDRESS} END",
    "place_evidence": "CASE WHEN usage.category IS NULL THEN '{}'"
    " ELSE jsonb_build_object('country', organization.country, 'client_address', '') END",
    "usage_month": "usage.month",
    "created_at": "%(at)s",
}
NEW_TAX = {
    "invoice_id": "id",
    "organization_id": "organization_id",
    "name": "name",
    "category": "category",
    "jurisdiction": "jurisdiction",
    "rate": "rate",
    "net_minor": "net_minor",
    "tax_minor": "tax_minor",
    "currency": "currency",
}
NEW_ITEM = {
    "invoice_id": "usage.id",
    "organization_id": "usage.organization_id",
    "kind": "%(item_kind)s",
    "description": "left(concat_ws(' · ', nullif(subscription.label, ''), item.description), 255)",
    "quantity": "line.quantity",
    "unit_minor": "line.unit_minor",
    "amount_minor": "line.amount_minor",
    "currency": "usage.currency",
    "subscription_id": "line.subscription_id",
    "subscription_item_id": "line.item_id",
    "period_start": "line.period_start",
    "period_end": "line.period_end",
    "position": "item.position",
}
NEW_ITEMS = """FROM billing_usage_line line
    JOIN billing_usage_invoice usage USING (organization_id, currency)
    JOIN billing_subscription subscription ON subscription.id = line.subscription_id
    JOIN billing_subscriptionitem item ON item.id = line.item_id
    WHERE line.invoice_item_id IS NULL ORDER BY usage.id, subscription.label, subscription.id, item.position"""
MORE = (
    """UPDATE billing_invoiceitem item SET quantity = line.quantity, amount_minor = line.amount_minor,
        period_end = line.period_end FROM billing_usage_line line WHERE item.id = line.invoice_item_id""",
    """UPDATE billing_invoice invoice SET net_minor = usage.net_minor, tax_minor = usage.tax_minor,
        total_minor = usage.net_minor + usage.tax_minor
        FROM billing_usage_invoice usage WHERE NOT usage.is_new AND invoice.id = usage.id""",
    """UPDATE billing_invoicetax tax SET net_minor = usage.net_minor, tax_minor = usage.tax_minor
        FROM billing_usage_invoice usage WHERE NOT usage.is_new AND tax.invoice_id = usage.id""",
)
# One entry of an organization, which names its servers and their hours. The total that it brings the draft to is new.
TAKEN = """FROM billing_usage_invoice usage
    JOIN (SELECT organization_id, currency, left(string_agg(coalesce(nullif(label, ''), description) || ': '
            || hours || ' h', ', ' ORDER BY label, subscription_id), 191) AS hours
        FROM (SELECT line.organization_id, line.currency, line.subscription_id, subscription.label,
                max(line.hours) AS hours, min(item.description) AS description
            FROM billing_usage_line line JOIN billing_subscriptionitem item ON item.id = line.item_id
            JOIN billing_subscription subscription ON subscription.id = line.subscription_id
            GROUP BY line.organization_id, line.currency, line.subscription_id, subscription.label) used
        GROUP BY organization_id, currency) note USING (organization_id, currency)
    WHERE usage.added_minor > 0"""
ENTRY = {
    "kind": "%(entry_kind)s",
    "reference": "'usage:' || usage.id::text || ':' || usage.before_minor + usage.added_minor",
    "organization_id": "usage.organization_id",
    "invoice_id": "usage.id",
    "note": "note.hours",
    "at": "%(at)s",
}
RESERVED = """FROM billing_usage_invoice usage WHERE usage.added_minor > 0 AND NOT EXISTS (
    SELECT FROM billing_ledgeraccount account WHERE account.kind = 'reserved_credit' AND account.gateway = ''
        AND account.organization_id = usage.organization_id AND account.currency = usage.currency)"""
ACCOUNT = {"kind": "'reserved_credit'", "organization_id": "usage.organization_id", "currency": "usage.currency"}
POSTING = {
    "entry_id": "entry.id",
    "account_id": "account.id",
    "organization_id": "usage.organization_id",
    "amount_minor": "line.amount_minor",
    "currency": "usage.currency",
}
POSTINGS = """FROM billing_usage_invoice usage
    JOIN billing_journalentry entry
        ON entry.reference = 'usage:' || usage.id::text || ':' || usage.before_minor + usage.added_minor
    JOIN billing_ledgeraccount wallet ON wallet.id = usage.wallet_id
    CROSS JOIN LATERAL (VALUES ('reserved_credit', usage.added_minor),
        ('promotional_credit', -least(usage.added_minor, wallet.promotional_minor)),
        ('wallet', least(usage.added_minor, wallet.promotional_minor) - usage.added_minor)) line (kind, amount_minor)
    JOIN billing_ledgeraccount account ON account.kind = line.kind AND account.gateway = ''
        AND account.organization_id = usage.organization_id AND account.currency = usage.currency
    WHERE usage.added_minor > 0 AND line.amount_minor <> 0 ORDER BY entry.id"""
CYCLE = {
    "subscription_id": "hour.subscription_id",
    "organization_id": "hour.organization_id",
    "invoice_id": "usage.id",
    "hour": "hour.hour",
    "unit_minor": "hour.unit_minor",
    "currency": "hour.currency",
}
CYCLES = """FROM billing_usage_hour hour JOIN billing_usage_invoice usage USING (organization_id, currency)
    ORDER BY hour.subscription_id, hour.hour"""
ADVANCE = """
    UPDATE billing_subscription subscription SET current_period_start = charged.hour,
        current_period_end = charged.hour + interval '1 hour'
    FROM (SELECT subscription_id, max(hour) AS hour FROM billing_usage_hour GROUP BY subscription_id) charged
    WHERE subscription.id = charged.subscription_id"""
# What resumes was charged for all that it ran unpaid, and for the hour that it resumes in.
RESUME = """
    UPDATE billing_subscription subscription SET status = 'active', unpaid_until = NULL,
        unpaid_deletes_at = NULL,
        metered_from = greatest(charged.hour, %(hour)s),
        current_period_start = greatest(charged.hour, %(hour)s - interval '1 hour'),
        current_period_end = greatest(charged.hour + interval '1 hour', %(hour)s)
    FROM (SELECT subscription_id, max(hour) AS hour FROM billing_usage_hour WHERE is_resumed
        GROUP BY subscription_id) charged
    WHERE subscription.id = charged.subscription_id AND charged.hour >= coalesce(
        greatest(subscription.unpaid_until - interval '1 hour', %(resumed_hour)s), charged.hour)
    RETURNING subscription.id"""
# How long of the time for which data is kept it was not charged: so one paid hour each time does not keep the capacity
# of a suspended server for ever. What was never charged has the whole time; what it ran unpaid since is not counted.
STOOD = """(SELECT CASE WHEN count(*) > 0 THEN greatest(interval '0',
            max(cycle.hour) + interval '1 hour' - greatest(min(cycle.hour), %(at)s - %(delete_after)s)
            - interval '1 hour' * count(*) FILTER (WHERE cycle.hour >= %(at)s - %(delete_after)s)) END
        FROM billing_usagecycle cycle WHERE cycle.subscription_id = subscription.id)"""
# While a saved method is charged for the wallet, its hours stay due: not where that waits for its owner or a bank, for
# days, nor once it was refused since the first of them was due. Who saves the settings anew has it charged again at
# once, and nobody runs unpaid from one refusal to the next.
SUSPEND = f"""
    UPDATE billing_subscription subscription SET status = 'suspended', unpaid_until = %(ran_until)s,
        unpaid_deletes_at = %(at)s + greatest(%(notice)s, %(delete_after)s - coalesce({STOOD}, interval '0'))
    FROM billing_usage_unpaid unpaid
    WHERE subscription.id = unpaid.subscription_id AND subscription.status = 'active'
        AND NOT EXISTS (SELECT FROM billing_payment payment
            WHERE payment.organization_id = subscription.organization_id AND payment.currency = subscription.currency
                AND payment.invoice_id IS NULL AND payment.is_automatic AND payment.failure_code = ''
                AND payment.state = 'pending' AND payment.created_at > %(awaited_since)s
                AND NOT EXISTS (SELECT FROM billing_payment refused
                    WHERE refused.organization_id = payment.organization_id AND refused.currency = payment.currency
                        AND refused.invoice_id IS NULL AND refused.is_automatic
                        AND refused.state IN ('failed', 'expired')
                        AND refused.created_at >= unpaid.hour + (%(hour)s - %(last_hour)s)))
    RETURNING subscription.id"""
DONE = """
    INSERT INTO billing_fact SELECT 'usage', usage.organization_id, coalesce(entry.note, ''), %(at)s,
        usage.added_minor, usage.currency
    FROM billing_usage_invoice usage LEFT JOIN billing_journalentry entry
        ON entry.reference = 'usage:' || usage.id::text || ':' || usage.before_minor + usage.added_minor"""


def prepare() -> None:
    """Begin with no hours, and none that a wallet did not pay."""
    for table in TABLES:
        batches.execute(table)
    batches.execute("DELETE FROM billing_usage_unpaid")


def charge_hours(params: Mapping[str, Any]) -> bool:
    """Charge the hours that are due, of each organization those of one month; whether there were any.

    What a wallet does not pay stays due, and its subscription is in billing_usage_unpaid and asked for no more: each
    call charges a month's hours or leaves somebody out, so that repeating it ends. The caller holds the locks of
    drafts, subscriptions and wallets, and has called `prepare`.
    """
    for name in ("hour", "line", "invoice", "short"):
        batches.execute(f"DELETE FROM billing_usage_{name}")
    if not batches.execute(HOURS, params):
        return False
    batches.execute(LINES, {**params, "is_again": False})
    batches.execute(INVOICES, {**params, "is_again": False})
    if batches.execute(SHORT):
        batches.execute(UNPAID)
        batches.execute(LEAVE_OUT)
        for table in ("billing_usage_line", "billing_usage_invoice"):
            batches.execute(FORGET.format(table=table))
        batches.execute(LINES, {**params, "is_again": True})
        batches.execute(INVOICES, {**params, "is_again": True})
    write(params)
    return True


def write(params: Mapping[str, Any]) -> None:
    """What was priced: the drafts with their lines, what it takes from the wallets, and the hours."""
    named = {**params, "item_kind": ItemKind.USAGE, "entry_kind": EntryKind.USAGE}
    for more in MORE:
        batches.execute(more)
    bulk.insert_from(Invoice, NEW_INVOICE, NEW_INVOICES, named)
    new_taxes = "FROM billing_usage_invoice usage WHERE is_new AND category IS NOT NULL"
    bulk.insert_from(InvoiceTax, NEW_TAX, new_taxes, named)
    bulk.insert_from(InvoiceItem, NEW_ITEM, NEW_ITEMS, named)
    bulk.insert_from(LedgerAccount, ACCOUNT, RESERVED, named)
    if bulk.insert_from(JournalEntry, ENTRY, TAKEN, named):
        bulk.insert_from(Posting, POSTING, POSTINGS, named)
    bulk.insert_from(UsageCycle, CYCLE, CYCLES, named)
    batches.execute(ADVANCE)
    batches.execute(DONE, params)
