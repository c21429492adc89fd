"""Monthly recurring revenue: what it is, how it moved, and how long customers stay.

The monthly recurring revenue (MRR) of a customer at an instant is what the items of their begun subscriptions cost
then, for a month: a year counts a twelfth, an hour 730 times. Taxes and one-time fees do not count.
"""

from django.utils.translation import gettext_lazy as _

from billing.reports.base import CellType, Column, Report

# `begun`: each subscription from its first paid period on. `mrr`: of each customer at each of the `boundary` instants.
_MRR = """
    WITH begun AS (
        SELECT subscription.id, subscription.organization_id, subscription.currency, subscription.ended_at,
            min(item.period_start) AS began_at,
            -- Where prices include tax, what of them is the shop's.
            avg(CASE WHEN invoice.is_tax_inclusive THEN invoice.net_minor::numeric / nullif(invoice.total_minor, 0)
                ELSE 1 END) AS net_share
        FROM billing_subscription subscription
        JOIN billing_invoiceitem item ON item.subscription_id = subscription.id AND NOT item.is_void
        JOIN billing_invoice invoice ON invoice.id = item.invoice_id AND invoice.state IN ('paid', 'refunded')
        GROUP BY subscription.id HAVING min(item.period_start) IS NOT NULL
    ), boundary AS (
        SELECT generate_series(date_trunc('month', %(since)s::timestamptz, 'UTC'), %(until)s::timestamptz,
            interval '1 month') AS at
        UNION SELECT %(until)s::timestamptz
    ), mrr AS (
        SELECT boundary.at, begun.organization_id, begun.currency,
            sum(item.quantity * item.unit_minor * term.per_month * coalesce(begun.net_share, 1)) AS minor
        FROM boundary
        JOIN begun ON begun.began_at <= boundary.at AND (begun.ended_at IS NULL OR begun.ended_at > boundary.at)
        JOIN billing_subscriptionitem item ON item.subscription_id = begun.id AND item.valid_from <= boundary.at
            AND (item.valid_until IS NULL OR item.valid_until > boundary.at)
            -- Nobody pays while it pauses: that is churn, and then a reactivation.
            AND NOT EXISTS (SELECT FROM billing_subscriptionpause pause WHERE pause.subscription_id = begun.id
                AND pause.begun_at <= boundary.at AND (pause.ended_at IS NULL OR pause.ended_at > boundary.at))
        -- The billing cycle of the plan that it had then: the subscription's own is that of its next period.
        JOIN billing_subscriptionitem plan ON plan.subscription_id = begun.id AND plan.kind = 'plan'
            AND plan.valid_from <= boundary.at AND (plan.valid_until IS NULL OR plan.valid_until > boundary.at)
        JOIN catalog_planprice price ON price.id = plan.plan_price_id
        CROSS JOIN LATERAL (SELECT CASE price.term WHEN 'hourly' THEN 730::numeric WHEN 'monthly' THEN 1
            WHEN 'quarterly' THEN 1 / 3.0 WHEN 'semiannually' THEN 1 / 6.0 ELSE 1 / 12.0 END AS per_month) term
        GROUP BY boundary.at, begun.organization_id, begun.currency
    )"""

MRR = Report(
    code="recurring-revenue",
    title=_("Monthly recurring revenue"),
    description=_(
        "What customers pay for a month at the end of each month, and how it changed: new customers, larger and smaller"
        " ones, those who left and those who came back."
    ),
    query=_MRR
    + """, customer AS (
        SELECT organization_id, currency, min(began_at) AS first_at FROM begun GROUP BY organization_id, currency
    ), step AS (
        SELECT boundary.at, customer.currency, customer.first_at, coalesce(mrr.minor, 0) AS minor,
            lag(coalesce(mrr.minor, 0)) OVER (
                PARTITION BY customer.organization_id, customer.currency ORDER BY boundary.at) AS before,
            lag(boundary.at) OVER (
                PARTITION BY customer.organization_id, customer.currency ORDER BY boundary.at) AS before_at
        FROM boundary CROSS JOIN customer
        LEFT JOIN mrr ON mrr.at = boundary.at AND mrr.organization_id = customer.organization_id
            AND mrr.currency = customer.currency
    )
    SELECT (before_at AT TIME ZONE 'UTC')::date AS month, currency, round(sum(minor))::bigint AS mrr,
        round(coalesce(sum(minor) FILTER (WHERE before = 0 AND first_at > before_at), 0))::bigint AS new,
        round(coalesce(sum(minor - before) FILTER (WHERE before > 0 AND minor > before), 0))::bigint AS expansion,
        round(coalesce(sum(minor - before) FILTER (WHERE minor > 0 AND minor < before), 0))::bigint AS contraction,
        round(coalesce(sum(-before) FILTER (WHERE minor = 0), 0))::bigint AS churn,
        round(coalesce(sum(minor) FILTER (WHERE before = 0 AND first_at <= before_at), 0))::bigint AS reactivation,
        count(*) FILTER (WHERE minor > 0) AS customers,
        round(sum(minor) / nullif(count(*) FILTER (WHERE minor > 0), 0))::bigint AS arpu
    FROM step WHERE before_at IS NOT NULL GROUP BY before_at, currency
    HAVING sum(minor) > 0 OR sum(before) > 0 ORDER BY currency, before_at""",
    columns=(
        Column("month", _("Month"), CellType.MONTH),
        Column("currency", _("Currency")),
        Column("mrr", _("MRR at its end"), CellType.MONEY),
        Column("new", _("New"), CellType.MONEY),
        Column("expansion", _("Expansion"), CellType.MONEY),
        Column("contraction", _("Contraction"), CellType.MONEY),
        Column("churn", _("Churn"), CellType.MONEY),
        Column("reactivation", _("Reactivation"), CellType.MONEY),
        Column("customers", _("Customers"), CellType.NUMBER),
        Column("arpu", _("Per customer"), CellType.MONEY),
    ),
    months=11,
    chart="mrr",
)

COHORTS = Report(
    code="cohorts",
    title=_("Cohorts"),
    description=_("Of the customers who began in a month: how many still paid so many months later."),
    query=_MRR
    + """, customer AS (
        SELECT organization_id, date_trunc('month', min(began_at), 'UTC') AS cohort FROM begun GROUP BY organization_id
    ), size AS (
        SELECT cohort, count(*) AS customers FROM customer GROUP BY cohort
    ), stayed AS (
        SELECT customer.cohort, mrr.at, count(DISTINCT mrr.organization_id) AS customers
        FROM customer JOIN mrr USING (organization_id) WHERE mrr.minor > 0 GROUP BY customer.cohort, mrr.at
    )
    SELECT (size.cohort AT TIME ZONE 'UTC')::date AS cohort, size.customers,
        (extract(year FROM age(boundary.at, size.cohort)) * 12 + extract(month FROM age(boundary.at, size.cohort)))::int
            AS months_later,
        coalesce(stayed.customers, 0) AS remaining,
        round(coalesce(stayed.customers, 0) * 100.0 / size.customers, 1) AS share
    FROM size JOIN boundary ON boundary.at > size.cohort
    LEFT JOIN stayed ON stayed.cohort = size.cohort AND stayed.at = boundary.at
    WHERE size.cohort >= date_trunc('month', %(since)s::timestamptz, 'UTC')
        AND boundary.at = date_trunc('month', boundary.at, 'UTC')
    ORDER BY size.cohort, boundary.at""",
    columns=(
        Column("cohort", _("Began in"), CellType.MONTH),
        Column("customers", _("Customers"), CellType.NUMBER),
        Column("months_later", _("Months later"), CellType.NUMBER),
        Column("remaining", _("Still paying"), CellType.NUMBER),
        Column("share", _("Share"), CellType.PERCENT),
    ),
    months=11,
)
