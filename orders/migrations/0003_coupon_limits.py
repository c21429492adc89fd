"""A coupon is not redeemed more often than its limits say, whatever the code does.

The coupon's lock makes a second redemption wait for the first, and then count it.
"""

from django.db import migrations

LIMITS = """
CREATE FUNCTION orders_coupon_within_limits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coupon catalog_coupon;
    counted record;
    placed_by uuid;
BEGIN
    SELECT * INTO coupon FROM catalog_coupon WHERE id = NEW.coupon_id FOR NO KEY UPDATE;
    SELECT placed_by_id INTO placed_by FROM orders_order WHERE id = NEW.order_id;
    SELECT count(*) AS of_all, count(*) FILTER (WHERE used.organization_id = NEW.organization_id) AS of_organization,
            count(*) FILTER (WHERE placed.placed_by_id = placed_by) AS of_user
        INTO counted FROM orders_couponredemption used JOIN orders_order placed ON placed.id = used.order_id
        WHERE used.coupon_id = NEW.coupon_id AND used.given_back_at IS NULL;
    IF counted.of_all > coupon.max_redemptions
            OR greatest(counted.of_organization, counted.of_user) > coupon.max_per_customer THEN
        RAISE EXCEPTION 'coupon % is used up', coupon.code USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER orders_coupon_within_limits AFTER INSERT ON orders_couponredemption
    FOR EACH ROW EXECUTE FUNCTION orders_coupon_within_limits();
"""
UNDO = """
DROP TRIGGER orders_coupon_within_limits ON orders_couponredemption;
DROP FUNCTION orders_coupon_within_limits();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0002_same_owner"), ("catalog", "0001_initial")]
    operations = [migrations.RunSQL(LIMITS, UNDO)]
