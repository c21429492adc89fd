"""An order names only what its own organization has, and an invoice in its own currency: composite keys."""

from django.db import migrations

# (columns) of a table reference (columns) of another. Those of billing and servers have their unique keys there.
SAME_OWNER = [
    ("order", "invoice_id, organization_id, currency", "billing_invoice", "id, organization_id, currency"),
    ("orderitem", "order_id, organization_id", "orders_order", "id, organization_id"),
    ("orderitem", "subscription_id, organization_id", "billing_subscription", "id, organization_id"),
    ("orderitem", "server_id, organization_id", "servers_server", "id, organization_id"),
    ("orderitem", "reservation_id, organization_id", "servers_reservation", "id, organization_id"),
    ("orderitemaddon", "item_id, organization_id", "orders_orderitem", "id, organization_id"),
    ("couponredemption", "order_id, organization_id", "orders_order", "id, organization_id"),
    ("orderstatuschange", "order_id, organization_id", "orders_order", "id, organization_id"),
    ("planchange", "item_id, organization_id", "orders_orderitem", "id, organization_id"),
    (
        "planchange",
        "subscription_id, organization_id, currency",
        "billing_subscription",
        "id, organization_id, currency",
    ),
    ("planchange", "invoice_id, organization_id, currency", "billing_invoice", "id, organization_id, currency"),
    ("planchange", "old_plan_price_id, currency", "catalog_planprice", "id, currency"),
    ("planchange", "plan_price_id, currency", "catalog_planprice", "id, currency"),
    ("affiliateclicks", "affiliate_id, organization_id", "orders_affiliate", "id, organization_id"),
    ("referral", "affiliate_id, organization_id", "orders_affiliate", "id, organization_id"),
    ("referral", "order_id, customer_id, currency", "orders_order", "id, organization_id, currency"),
    ("commissionpayout", "affiliate_id, organization_id", "orders_affiliate", "id, organization_id"),
    ("planchange", "reservation_id, organization_id", "servers_reservation", "id, organization_id"),
    ("servertransfer", "item_id, organization_id", "orders_orderitem", "id, organization_id"),
    ("waitlistentry", "reservation_id, organization_id", "servers_reservation", "id, organization_id"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0001_initial"),
        ("billing", "0002_ledger_rules"),
        ("servers", "0002_same_owner"),
    ]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE orders_order ADD CONSTRAINT orders_order_key UNIQUE (id, organization_id);"
            "ALTER TABLE orders_orderitem ADD CONSTRAINT orders_orderitem_key UNIQUE (id, organization_id);"
            "ALTER TABLE orders_order ADD CONSTRAINT orders_order_currency_key UNIQUE (id, organization_id, currency);"
            "ALTER TABLE orders_affiliate ADD CONSTRAINT orders_affiliate_key UNIQUE (id, organization_id);",
            "ALTER TABLE orders_order DROP CONSTRAINT orders_order_currency_key;"
            "ALTER TABLE orders_affiliate DROP CONSTRAINT orders_affiliate_key;"
            "ALTER TABLE orders_order DROP CONSTRAINT orders_order_key;"
            "ALTER TABLE orders_orderitem DROP CONSTRAINT orders_orderitem_key;",
        ),
        *(
            migrations.RunSQL(
                f"ALTER TABLE orders_{table} ADD CONSTRAINT orders_{table}_{own.partition('_id')[0]}_same_owner"
                f" FOREIGN KEY ({own}) REFERENCES {target} ({columns}) DEFERRABLE INITIALLY DEFERRED",
                f"ALTER TABLE orders_{table} DROP CONSTRAINT orders_{table}_{own.partition('_id')[0]}_same_owner",
            )
            for table, own, target, columns in SAME_OWNER
        ),
    ]
