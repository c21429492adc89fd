"""`renew` moves items to the price of their campaign, from the period on that their customer was told."""

from collections.abc import Mapping
from typing import Any

from billing.runs import batches

TABLE = """CREATE TEMPORARY TABLE IF NOT EXISTS billing_price_moving (move_id uuid, item_id uuid, subscription_id uuid,
    begins_at timestamptz, plan_price_id uuid, addon_price_id uuid, unit_minor numeric, more_minor bigint
) ON COMMIT DELETE ROWS"""
# Not where a discount would be more than the prices, with all moves together. {due} is what is renewed now, under its
# locks. What pages say of the next period (`charging.moved_minor`) has the same conditions; that the campaign is in
# force is asked here only, because until then it can be canceled by somebody else at this moment.
MOVING = """
    INSERT INTO billing_price_moving
    SELECT move_id, item_id, subscription_id, period_end, plan_price_id, addon_price_id, unit_minor, more
    FROM (SELECT move.id AS move_id, item.id AS item_id, subscription.id AS subscription_id,
        subscription.current_period_end AS period_end, campaign.plan_price_id, campaign.addon_price_id, move.unit_minor,
        priced.more, sum(priced.more) OVER (PARTITION BY subscription.id) AS all_more
    FROM (SELECT subscription.* {due}) subscription
    JOIN billing_pricemove move ON move.subscription_id = subscription.id AND move.applied_at IS NULL
        AND move.canceled_at IS NULL AND move.begins_at <= subscription.current_period_end
    JOIN billing_pricecampaign campaign ON campaign.id = move.campaign_id AND campaign.status = 'announced'
        AND campaign.effective_at <= %(at)s
    JOIN billing_subscriptionitem item ON item.id = move.item_id AND item.valid_until IS NULL
        AND item.valid_from < subscription.current_period_end
    CROSS JOIN LATERAL (SELECT (billing_round_half_even(item.quantity * move.unit_minor)
        - billing_round_half_even(item.quantity * item.unit_minor))::bigint AS more) priced) moving
    WHERE moving.all_more + (SELECT sum(billing_round_half_even(valid.quantity * valid.unit_minor))
        FROM billing_subscriptionitem valid WHERE valid.subscription_id = moving.subscription_id
            AND valid.valid_from <= moving.period_end
            AND (valid.valid_until IS NULL OR valid.valid_until > moving.period_end)) >= 0"""
# One after the other: at no time has a subscription two plans.
STEPS = (
    """UPDATE billing_subscriptionitem item SET valid_until = moving.begins_at FROM billing_price_moving moving
        WHERE item.id = moving.item_id""",
    """INSERT INTO billing_subscriptionitem (id, subscription_id, organization_id, kind, plan_price_id, addon_price_id,
            description, quantity, unit_minor, currency, valid_from, position, created_at, updated_at)
        SELECT uuidv7(), item.subscription_id, item.organization_id, item.kind, moving.plan_price_id,
            moving.addon_price_id, item.description, item.quantity, moving.unit_minor, item.currency, moving.begins_at,
            item.position, %(at)s, %(at)s
        FROM billing_price_moving moving JOIN billing_subscriptionitem item ON item.id = moving.item_id""",
    """UPDATE billing_subscription subscription SET amount_minor = greatest(0, subscription.amount_minor + moved.more)
        FROM (SELECT subscription_id, sum(more_minor)::bigint AS more FROM billing_price_moving
            GROUP BY subscription_id) moved
        WHERE subscription.id = moved.subscription_id""",
    """UPDATE billing_pricemove SET applied_at = %(at)s WHERE id IN (SELECT move_id FROM billing_price_moving)""",
)


def apply(due: str, params: Mapping[str, Any]) -> None:
    """Move what is due; the caller holds the locks of the subscriptions that the query names."""
    batches.execute(TABLE)
    batches.execute("DELETE FROM billing_price_moving")
    if batches.execute(MOVING.replace("{due}", due), params):
        for step in STEPS:
            batches.execute(step, params)
