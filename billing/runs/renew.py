"""`renew`: invoice the next period of every subscription that we renew, some days before it begins.

A pause begins and ends here too (`pauses`).

All that is due together is one invoice for each organization, currency and way of paying (automatically or not). The
database refuses to bill a time twice; under the subscriptions' locks the run sees what is billed and leaves it out.
"""

from datetime import UTC, datetime, time, timedelta

from psycopg.types.json import Jsonb

from billing import tax
from billing.models import Invoice, InvoiceItem, InvoiceSeries, InvoiceTax
from billing.runs import batches, pauses, price_moves, wallets
from billing.runs.batches import OF_INVOICE, OF_SUBSCRIPTION, OrganizationRange
from core import bulk, site_settings
from core.money import PAYABLE_STEPS

# Without automatic renewal too: the customer is then invoiced, and never charged automatically. OFFSET 0 has what is
# billed looked up for each subscription: the planner knows nothing yet of the lines that the run writes, and would read
# all of them for each batch.
DUE = """
    FROM billing_subscription subscription
    WHERE subscription.billing_mode = 'self' AND subscription.status IN ('active', 'past_due', 'suspended')
        AND NOT subscription.cancels_at_period_end AND subscription.term <> 'hourly'
        AND subscription.pauses_until IS NULL
        AND subscription.current_period_end < %(horizon)s
        AND (subscription.change_pending_until IS NULL OR subscription.change_pending_until <= %(at)s)
        AND NOT EXISTS (SELECT FROM billing_invoiceitem billed WHERE billed.subscription_id = subscription.id
            AND billed.kind IN ('plan', 'addon') AND NOT billed.is_void
            AND billed.period_end > subscription.current_period_end OFFSET 0)"""
# An invoice for a time that a subscription will not have, because it was canceled meanwhile or pauses; the others'
# time on it is invoiced again. One that is being paid stays: money that arrives for it is kept.
WITHDRAWN = """
    FROM billing_invoice invoice
    WHERE invoice.state IN ('open', 'overdue') AND invoice.due_at IS NOT NULL
        AND EXISTS (SELECT FROM billing_invoiceitem item
            JOIN billing_subscription subscription ON subscription.id = item.subscription_id
            WHERE item.invoice_id = invoice.id AND item.kind IN ('plan', 'addon')
                AND item.period_end > subscription.current_period_end
                AND (subscription.cancels_at_period_end OR subscription.pauses_until IS NOT NULL
                    OR subscription.status IN ('canceled', 'ended')))
        AND NOT EXISTS (SELECT FROM billing_payment payment WHERE payment.invoice_id = invoice.id
            AND payment.state IN ('pending', 'processing', 'under_review'))"""
LOCK_WITHDRAWN = f"SELECT invoice.id {WITHDRAWN}{OF_INVOICE} ORDER BY invoice.id FOR NO KEY UPDATE OF invoice"
LOCK_DUE = f"""SELECT id FROM billing_subscription WHERE id = ANY (ARRAY(SELECT subscription.id {DUE}{OF_SUBSCRIPTION}
        UNION ALL SELECT subscription.id {pauses.DUE}{OF_SUBSCRIPTION})) ORDER BY id FOR NO KEY UPDATE"""
VOID = f"""
    WITH voided AS (UPDATE billing_invoice SET state = 'void', voided_at = %(at)s
        WHERE id IN (SELECT invoice.id {WITHDRAWN}{OF_INVOICE})
        RETURNING id, organization_id, number, total_minor, currency, due_at),
    withdrawn AS (INSERT INTO billing_renewal_withdrawn SELECT item.subscription_item_id, voided.due_at
        FROM voided JOIN billing_invoiceitem item ON item.invoice_id = voided.id)
    INSERT INTO billing_fact SELECT 'void', organization_id, number, %(at)s, total_minor, currency FROM voided"""
TABLES = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS billing_renewal_withdrawn (item_id uuid, due_at timestamptz)"
    " ON COMMIT DELETE ROWS",
    """CREATE TEMPORARY TABLE IF NOT EXISTS billing_renewal_line (organization_id uuid, currency text,
        is_auto_renewed boolean, subscription_id uuid, item_id uuid, kind text, description text, quantity integer,
        unit_minor numeric, amount_minor bigint, period_start timestamptz, period_end timestamptz, place bigint
    ) ON COMMIT DELETE ROWS""",
    """CREATE TEMPORARY TABLE IF NOT EXISTS billing_renewal_invoice (id uuid, organization_id uuid, currency text,
        is_auto_renewed boolean, listed_minor bigint, due_at timestamptz, country text, is_tax_inclusive boolean,
        category text, rate numeric, name text, jurisdiction text, tax_minor bigint, net_minor bigint
    ) ON COMMIT DELETE ROWS""",
)
# The items valid when the period begins, at the prices they were sold at; a rounded amount for each.
LINES = f"""
    INSERT INTO billing_renewal_line SELECT subscription.organization_id, subscription.currency,
        subscription.is_auto_renewed, subscription.id, item.id, item.kind,
        left(concat_ws(' · ', nullif(subscription.label, ''), item.description), 255), item.quantity, item.unit_minor,
        billing_round_half_even(item.quantity * item.unit_minor), subscription.current_period_end,
        billing_next_period_end(subscription.current_period_end, subscription.term, subscription.anchor_day),
        row_number() OVER (PARTITION BY subscription.organization_id, subscription.currency,
            subscription.is_auto_renewed ORDER BY subscription.label, subscription.id, item.position, item.id) - 1
    FROM (SELECT subscription.* {DUE}{OF_SUBSCRIPTION}) subscription
    JOIN billing_subscriptionitem item ON item.subscription_id = subscription.id
        AND item.valid_from <= subscription.current_period_end
        AND (item.valid_until IS NULL OR item.valid_until > subscription.current_period_end)"""
# What is invoiced again, because another's time was withdrawn, is due when it was.
# Tax is computed once of an invoice's sum, as billing.tax does. Without a tax status, nothing is said about tax.
INVOICES = """
    INSERT INTO billing_renewal_invoice SELECT uuidv7(), taxed.*,
        listed_minor - CASE WHEN is_tax_inclusive THEN tax_minor ELSE 0 END
    FROM (SELECT listed.*, organization.country, tax.category IS NOT NULL AND %(is_inclusive)s AS is_tax_inclusive,
            tax.*, coalesce(billing_tax_amount(listed_minor, tax.rate, %(is_inclusive)s, coalesce(step.minor, 1)), 0)
                AS tax_minor
        FROM (SELECT organization_id, currency, is_auto_renewed, sum(amount_minor)::bigint AS listed_minor,
                coalesce(min((SELECT min(due_at) FROM billing_renewal_withdrawn withdrawn
                    WHERE withdrawn.item_id = line.item_id)), greatest(min(period_start), %(at)s)) AS due_at
            FROM billing_renewal_line line GROUP BY organization_id, currency, is_auto_renewed) listed
        JOIN accounts_organization organization ON organization.id = listed.organization_id
        LEFT JOIN unnest(%(currencies)s::text[], %(steps)s::bigint[]) step (currency, minor)
            ON step.currency = listed.currency
        LEFT JOIN LATERAL billing_tax_of(%(tax_status)s, %(tax_country)s, organization.country, organization.region,
            organization.has_vat_id, %(at)s) tax ON true
        ORDER BY organization_id, listed.currency, is_auto_renewed) taxed"""
INVOICE = {
    "id": "renewal.id",
    "organization_id": "renewal.organization_id",
    "state": "'open'",
    "issued_at": "%(at)s",
    "series_id": "%(series)s",
    "seller": "%(seller)s",
    "billing_address": batches.ADDRESS,
    "currency": "renewal.currency",
    "net_minor": "renewal.net_minor",
    "tax_minor": "renewal.tax_minor",
    "total_minor": "renewal.net_minor + renewal.tax_minor",
    "is_tax_inclusive": "renewal.is_tax_inclusive",
    "place_evidence": "CASE WHEN renewal.category IS NULL THEN '{}'"
    " ELSE jsonb_build_object('country', organization.country, 'client_address', '') END",
    "due_at": "renewal.due_at",
    "created_at": "%(at)s",
}
ISSUED = """FROM billing_renewal_invoice renewal
    JOIN accounts_organization organization ON organization.id = renewal.organization_id"""
ITEM = {
    "invoice_id": "renewal.id",
    "organization_id": "renewal.organization_id",
    "kind": "line.kind",
    "description": "line.description",
    "quantity": "line.quantity",
    "unit_minor": "line.unit_minor",
    "amount_minor": "line.amount_minor",
    "currency": "renewal.currency",
    "subscription_id": "line.subscription_id",
    "subscription_item_id": "line.item_id",
    "period_start": "line.period_start",
    "period_end": "line.period_end",
    "position": "line.place",
}
TAX = {
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
ITEMS = """FROM billing_renewal_line line JOIN billing_renewal_invoice renewal
    USING (organization_id, currency, is_auto_renewed)"""
DONE = """
    INSERT INTO billing_fact SELECT 'invoice', organization_id, named.label, due_at, net_minor + tax_minor, currency
    FROM billing_renewal_invoice JOIN (SELECT organization_id, currency, is_auto_renewed,
            string_agg(DISTINCT description, ', ') AS label
        FROM billing_renewal_line GROUP BY organization_id, currency, is_auto_renewed) named
        USING (organization_id, currency, is_auto_renewed)"""
FREE = "INSERT INTO billing_to_pay (id) SELECT id FROM billing_renewal_invoice WHERE net_minor + tax_minor = 0"


def due(at: datetime) -> tuple[str, dict[str, object]]:
    """What is to be renewed, withdrawn or paused at `at`, as a query of organizations' ids and its parameters."""
    query = f"""SELECT subscription.organization_id {DUE} UNION ALL SELECT invoice.organization_id {WITHDRAWN}
        UNION ALL SELECT subscription.organization_id {pauses.DUE}"""
    return query, {"horizon": horizon(at), "at": at}


def horizon(at: datetime) -> datetime:
    """Periods that begin before this are invoiced now: by whole days, so that those of one day are on one invoice."""
    day = (at + timedelta(days=site_settings.get("billing.invoice_lead_days"))).astimezone(UTC).date()
    return datetime.combine(day, time.min, UTC) + timedelta(days=1)


def tax_params() -> dict[str, object]:
    """The shop's tax status, and the currencies of which not every minor unit can be paid."""
    shop = tax.shop()
    return {
        "tax_status": shop.status,
        "tax_country": shop.country,
        "is_inclusive": shop.is_inclusive,
        "currencies": list(PAYABLE_STEPS),
        "steps": list(PAYABLE_STEPS.values()),
    }


def perform(of: OrganizationRange, at: datetime) -> None:
    """Invoice what is due in the range; the caller holds a transaction. What is free is paid at once."""
    series = InvoiceSeries.objects.get(is_default=True)
    params = of.params(at, horizon=horizon(at), series=series.pk, seller=Jsonb(series.seller_details), **tax_params())
    for table in TABLES:
        batches.execute(table)
    for name in ("line", "invoice", "withdrawn"):
        batches.execute(f"DELETE FROM billing_renewal_{name}")
    if batches.execute(LOCK_WITHDRAWN, params):
        batches.execute(VOID, params)
    batches.execute(LOCK_DUE, params)  # who renews or changes these at the same time waits, and is then seen
    pauses.perform(OF_SUBSCRIPTION, params, at)  # before: what goes on is due
    price_moves.apply(f"{DUE}{OF_SUBSCRIPTION}", params)
    batches.execute(LINES, params)
    batches.execute(INVOICES, params)
    bulk.insert_from(Invoice, INVOICE, ISSUED, params)
    bulk.insert_from(InvoiceItem, ITEM, ITEMS, params)
    bulk.insert_from(InvoiceTax, TAX, "FROM billing_renewal_invoice renewal WHERE category IS NOT NULL", params)
    batches.execute(DONE)
    wallets.prepare()
    if batches.execute(FREE):
        wallets.pay(at=at)
