"""A price is superseded, never edited: whatever was sold keeps its price.

Nor does what a promotion takes off change: customers have seen it.
"""

from django.db import migrations

TABLES = ("catalog_planprice", "catalog_addonprice")
FUNCTION = """
CREATE FUNCTION catalog_price_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - '{superseded_at,updated_at}'::text[] <> to_jsonb(OLD) - '{superseded_at,updated_at}'::text[] THEN
        RAISE EXCEPTION 'a price does not change: supersede it' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""
PROMOTIONS = """
CREATE FUNCTION catalog_promotion_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a promotion does not change: end it and begin another' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER catalog_promotion_fixed BEFORE UPDATE ON catalog_promotion FOR EACH ROW
    WHEN ((NEW.percent, NEW.amount_minor, NEW.currency, NEW.duration, NEW.periods)
        IS DISTINCT FROM (OLD.percent, OLD.amount_minor, OLD.currency, OLD.duration, OLD.periods))
    EXECUTE FUNCTION catalog_promotion_fixed();
"""
NO_PROMOTIONS = """
DROP TRIGGER catalog_promotion_fixed ON catalog_promotion;
DROP FUNCTION catalog_promotion_fixed();
"""
TRIGGER = "CREATE TRIGGER catalog_price_fixed BEFORE UPDATE ON {0} FOR EACH ROW EXECUTE FUNCTION catalog_price_fixed();"
UNDO = "DROP TRIGGER catalog_price_fixed ON {0};"


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [
        migrations.RunSQL(
            FUNCTION + "".join(TRIGGER.format(table) for table in TABLES),
            "".join(UNDO.format(table) for table in TABLES) + "DROP FUNCTION catalog_price_fixed();",
        ),
        migrations.RunSQL(PROMOTIONS, NO_PROMOTIONS),
    ]
