"""A coupon is not redeemed more often than its limits say, whatever the code does.

The coupon's lock makes a second redemption wait for the first, and then count it.
"""

from django.db import migrations

LIMITS = """
CREATE FUNCTION orders_coupon_within_limits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coupon catalog_coupon;
    counted record;
BEGIN
    SELECT * INTO coupon FROM catalog_coupon WHERE id = NEW.coupon_id FOR NO KEY UPDATE;
    SELECT count(*) AS of_all, count(*) FILTER (WHERE organization_id = NEW.organization_id) AS of_organization
        INTO counted FROM orders_couponredemption WHERE coupon_id = NEW.coupon_id AND given_back_at IS NULL;
    IF counted.of_all > coupon.max_redemptions OR counted.of_organization > coupon.max_per_organization THEN
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
