"""What is sold against what it costs: by plan, and by where its servers are."""

from django.utils.translation import gettext_lazy as _

from billing.reports.base import CellType, Column, Report

# `sold`: each line that was paid in the time; the months that it paid of its plan or add-on, times its units; what
# those cost us; and its net amount, less its part of what was credited of its invoice.
# Everything billed for a subscription counts for the plan that it had then: add-ons, discounts and prorations too.
# The months of a paid period are as many as its term has, however many days those have; a part of a period of an add-on
# counts by its days. What is given back of a plan, or charged for the rest of a period, moves no months between plans.
_SOLD = """
    WITH sold AS (
        SELECT billed.*,
            coalesce(months * CASE part WHEN 'addon' THEN addon_minor ELSE plan_minor END, 0) AS cost_minor,
            plan_currency = currency AND coalesce(addon_currency, '') IN ('', currency) AS is_comparable
        FROM (SELECT plan.id, plan.code, item.subscription_id, item.currency, line.kind AS part,
            plan.cost_minor AS plan_minor, plan.cost_currency AS plan_currency,
            addon.cost_minor AS addon_minor, addon.cost_currency AS addon_currency,
            CASE WHEN item.kind = 'usage' AND line.kind IN ('plan', 'addon') THEN item.quantity / 730
                WHEN item.kind IN ('plan', 'addon') THEN item.quantity * CASE price.term WHEN 'monthly' THEN 1
                    WHEN 'quarterly' THEN 3 WHEN 'semiannually' THEN 6 ELSE 12 END
                WHEN item.kind IN ('proration', 'credit') AND line.kind = 'addon'
                    THEN line.quantity * extract(epoch FROM item.period_end - item.period_start)
                        / extract(epoch FROM interval '1 year') * 12 * CASE item.kind WHEN 'credit' THEN -1 ELSE 1 END
                ELSE 0 END AS months,
            CASE WHEN invoice.is_tax_inclusive
                THEN item.amount_minor * invoice.net_minor::numeric / nullif(invoice.total_minor, 0)
                ELSE item.amount_minor END
                * (1 - coalesce(credited.minor / nullif(invoice.net_minor, 0), 0)) AS net_minor
        FROM billing_invoiceitem item
        JOIN billing_invoice invoice ON invoice.id = item.invoice_id AND invoice.state = 'paid'
        LEFT JOIN billing_subscriptionitem line ON line.id = item.subscription_item_id
        LEFT JOIN catalog_addonprice addon_price ON addon_price.id = line.addon_price_id
        LEFT JOIN catalog_addon addon ON addon.id = addon_price.addon_id
        LEFT JOIN (SELECT invoice_id, sum(net_minor) AS minor FROM billing_creditnote WHERE voided_at IS NULL
            GROUP BY invoice_id) credited ON credited.invoice_id = invoice.id
        JOIN LATERAL (SELECT sold.plan_price_id FROM billing_subscriptionitem sold
            WHERE sold.subscription_id = item.subscription_id AND sold.kind = 'plan'
                AND sold.valid_from <= coalesce(item.period_start, invoice.paid_at)
            ORDER BY sold.valid_from DESC LIMIT 1) sub ON true
        JOIN catalog_planprice price ON price.id = sub.plan_price_id
        JOIN catalog_plan plan ON plan.id = price.plan_id
        WHERE invoice.paid_at >= %(since)s AND invoice.paid_at < %(until)s) billed
    )"""

MARGIN = Report(
    code="margin",
    title=_("Margin"),
    description=_(
        "What the periods that were paid brought for each plan with its add-ons, against their own cost a month. Costs"
        " in another currency are not compared; an add-on without a cost counts as free."
    ),
    query=_SOLD
    + """
        SELECT code, currency, round(coalesce(sum(months) FILTER (WHERE part = 'plan'), 0), 1) AS months,
            round(sum(net_minor))::bigint AS revenue,
            CASE WHEN bool_and(is_comparable) THEN round(sum(cost_minor))::bigint END AS cost,
            CASE WHEN bool_and(is_comparable)
                THEN (round(sum(net_minor)) - round(sum(cost_minor)))::bigint END AS margin,
            CASE WHEN bool_and(is_comparable)
                THEN round(100 - sum(cost_minor) * 100 / nullif(sum(net_minor), 0), 1) END AS share
        FROM sold GROUP BY id, code, currency ORDER BY currency, revenue DESC, code""",
    columns=(
        Column("code", _("Plan")),
        Column("currency", _("Currency")),
        Column("months", _("Months sold"), CellType.NUMBER),
        Column("revenue", _("Revenue"), CellType.MONEY),
        Column("cost", _("Own cost"), CellType.MONEY),
        Column("margin", _("Margin"), CellType.MONEY),
        Column("share", _("Share"), CellType.PERCENT),
    ),
)

MARGIN_BY_LOCATION = Report(
    code="margin-by-location",
    title=_("Margin by location"),
    description=_("The same for each location of a provider: where the servers are that were paid for."),
    query=_SOLD
    + """
        SELECT provider.name AS provider, coalesce(location.name, '–') AS location, sold.currency,
            count(DISTINCT server.id) AS servers,
            round(coalesce(sum(months) FILTER (WHERE part = 'plan'), 0), 1) AS months,
            round(sum(net_minor))::bigint AS revenue,
            round(sum(cost_minor) FILTER (WHERE is_comparable))::bigint AS cost,
            (round(sum(net_minor) FILTER (WHERE is_comparable))
                - round(sum(cost_minor) FILTER (WHERE is_comparable)))::bigint AS margin
        FROM sold
        JOIN orders_orderitem ordered ON ordered.subscription_id = sold.subscription_id
        JOIN servers_server server ON server.id = ordered.server_id
        JOIN servers_blueprint blueprint ON blueprint.id = server.blueprint_id
        JOIN servers_provider provider ON provider.id = blueprint.provider_id
        LEFT JOIN servers_node node ON node.id = server.node_id
        LEFT JOIN servers_location location ON location.id = node.location_id
        GROUP BY provider.name, location.name, sold.currency
        ORDER BY sold.currency, revenue DESC, provider, location""",
    columns=(
        Column("provider", _("Provider")),
        Column("location", _("Location")),
        Column("currency", _("Currency")),
        Column("servers", _("Servers"), CellType.NUMBER),
        Column("months", _("Months sold"), CellType.NUMBER),
        Column("revenue", _("Revenue"), CellType.MONEY),
        Column("cost", _("Own cost"), CellType.MONEY),
        Column("margin", _("Margin"), CellType.MONEY),
    ),
)
