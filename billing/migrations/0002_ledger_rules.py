"""The money rules as triggers: entries sum to zero and are sealed, balances follow postings, issued invoices stay.

Those of promotional credit are in `_grant_rules.py`, those of invoices in `_invoice_rules.py`, those of allocations in
`_allocation_rules.py`, and those of rows that do not change once they are recorded in `_recorded_rules.py`.
`_tax_rules.py` computes tax.
"""

from django.db import migrations

from billing.migrations import _allocation_rules as allocations
from billing.migrations import _grant_rules as grants
from billing.migrations import _invoice_rules as invoices
from billing.migrations import _period_rules as periods
from billing.migrations import _recorded_rules as recorded
from billing.migrations import _tax_rules as taxes

# An entry is sealed at commit: it knows the transaction that wrote it, and only that one may add postings. The check is
# made when a row is written; NOT VALID keeps a restored dump, in which the transaction is another one, loadable.
SEALED = """
ALTER TABLE billing_journalentry ADD COLUMN written_in xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ADD CONSTRAINT billing_entry_written_in CHECK (written_in = pg_current_xact_id()) NOT VALID;
"""
# Postings are checked as the set that a statement inserts: each entry sums to zero in each currency. EXECUTE plans each
# query anew: a plan kept from a first call with one entry would take minutes for a run of thousands. They count
# the wrong rows rather than stop at the first one, because for a LIMIT the planner prefers nested loops. Entries and
# accounts are never deleted, so that this is also the check that the entry and the account of a posting are there.
BALANCED = """
CREATE FUNCTION billing_check_postings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
    promotional_accounts uuid[];
BEGIN
    SELECT entry_id, currency, sum(amount_minor) AS total INTO wrong FROM added
        GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % is off by % %', wrong.entry_id, wrong.total, wrong.currency
            USING ERRCODE = 'check_violation';
    END IF;
    EXECUTE 'SELECT
            count(*) FILTER (WHERE entry.written_in IS DISTINCT FROM pg_current_xact_id()) AS sealed,
            count(*) FILTER (WHERE account.currency IS DISTINCT FROM added.currency
                OR account.organization_id IS DISTINCT FROM added.organization_id) AS not_of_account,
            count(*) FILTER (WHERE added.organization_id <> entry.organization_id
                OR added.organization_id IS NOT NULL AND entry.organization_id IS NULL) AS not_of_entry
        FROM added LEFT JOIN billing_journalentry entry ON entry.id = added.entry_id
            LEFT JOIN billing_ledgeraccount account ON account.id = added.account_id' INTO wrong;
    IF wrong.sealed > 0 THEN
        RAISE EXCEPTION 'postings are added to a journal entry that is sealed or unknown'
            USING ERRCODE = 'restrict_violation';
    ELSIF wrong.not_of_account > 0 THEN
        RAISE EXCEPTION 'a posting is in another currency or of another organization than its account'
            USING ERRCODE = 'check_violation';
    ELSIF wrong.not_of_entry > 0 THEN
        RAISE EXCEPTION 'a journal entry posts to an account of another organization'
            USING ERRCODE = 'check_violation';
    END IF;
    EXECUTE 'WITH changed AS (
        UPDATE billing_ledgeraccount account SET balance_minor = account.balance_minor + moved.total
        FROM (SELECT account_id, sum(amount_minor) AS total FROM added WHERE organization_id IS NOT NULL
            GROUP BY account_id) moved
        WHERE account.id = moved.account_id AND moved.total <> 0
        RETURNING account.kind, account.organization_id, account.currency)
        SELECT array_agg(DISTINCT promotional.id) FROM changed JOIN billing_ledgeraccount promotional
            ON promotional.kind = ''promotional_credit'' AND promotional.gateway = ''''
                AND promotional.organization_id = changed.organization_id AND promotional.currency = changed.currency
        WHERE changed.kind IN (''promotional_credit'', ''receivable'')' INTO promotional_accounts;
    IF promotional_accounts IS NOT NULL THEN
        PERFORM billing_follow_promotional_credit(promotional_accounts);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_check_postings AFTER INSERT ON billing_posting
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing_check_postings();

CREATE FUNCTION billing_entry_has_postings() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM billing_posting WHERE entry_id = NEW.id) THEN
        RAISE EXCEPTION 'journal entry % has no postings', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_entry_has_postings AFTER INSERT ON billing_journalentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_entry_has_postings();
"""
# An organization's accounts have a running balance. Only postings move it, so no code can forget or invent it.
BALANCES = """
CREATE FUNCTION billing_balance_is_its_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.balance_minor <> 0 OR NEW.promotional_minor <> 0 THEN
            RAISE EXCEPTION 'a ledger account begins at zero' USING ERRCODE = 'check_violation';
        END IF;
    ELSIF (NEW.balance_minor, NEW.promotional_minor) <> (OLD.balance_minor, OLD.promotional_minor)
            AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'a balance moves by postings only' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_balance_is_its_postings BEFORE INSERT OR UPDATE ON billing_ledgeraccount
    FOR EACH ROW EXECUTE FUNCTION billing_balance_is_its_postings();
"""
# A row names rows of its own organization and currency only: (columns) of a table reference (columns) of another.
SAME_OWNER = [
    ("invoiceitem", "invoice_id, organization_id, currency", "invoice", "id, organization_id, currency"),
    ("invoicetax", "invoice_id, organization_id, currency", "invoice", "id, organization_id, currency"),
    ("invoiceitem", "subscription_id, organization_id, currency", "subscription", "id, organization_id, currency"),
    (
        "invoiceitem",
        "subscription_item_id, subscription_id, organization_id, currency",
        "subscriptionitem",
        "id, subscription_id, organization_id, currency",
    ),
    ("reminder", "invoice_id, organization_id", "invoice", "id, organization_id"),
    ("reminder", "wallet_id, organization_id", "ledgeraccount", "id, organization_id"),
    ("usagecycle", "subscription_id, organization_id, currency", "subscription", "id, organization_id, currency"),
    ("usagecycle", "invoice_id, organization_id, currency", "invoice", "id, organization_id, currency"),
    ("creditnote", "invoice_id, organization_id, currency", "invoice", "id, organization_id, currency"),
    (
        "creditnote",
        "reversal_id, organization_id, currency",
        "allocationreversal",
        "id, organization_id, currency",
    ),
    ("pricemove", "subscription_id, organization_id", "subscription", "id, organization_id"),
    ("subscriptionpause", "subscription_id, organization_id", "subscription", "id, organization_id"),
    (
        "pricemove",
        "item_id, subscription_id, organization_id",
        "subscriptionitem",
        "id, subscription_id, organization_id",
    ),
    ("subscriptionitem", "subscription_id, organization_id, currency", "subscription", "id, organization_id, currency"),
    ("payment", "invoice_id, organization_id, currency", "invoice", "id, organization_id, currency"),
    ("payment", "payment_method_id, organization_id", "paymentmethod", "id, organization_id"),
    ("payment", "payment_method_id, gateway, is_live", "paymentmethod", "id, gateway, is_live"),
    ("banktransfer", "payment_id, organization_id", "payment", "id, organization_id"),
    ("refund", "payment_id, organization_id, currency", "payment", "id, organization_id, received_currency"),
    ("refund", "payment_id, gateway, is_live", "payment", "id, gateway, is_live"),
    ("dispute", "payment_id, organization_id", "payment", "id, organization_id"),
    ("dispute", "payment_id, gateway, is_live", "payment", "id, gateway, is_live"),
    (
        "paymentallocation",
        "payment_id, organization_id, currency",
        "payment",
        "id, organization_id, received_currency",
    ),
    ("paymentallocation", "invoice_id, organization_id, currency", "invoice", "id, organization_id, currency"),
    (
        "allocationreversal",
        "allocation_id, organization_id, currency",
        "paymentallocation",
        "id, organization_id, currency",
    ),
    ("allocationreversal", "refund_id, organization_id, currency", "refund", "id, organization_id, currency"),
    # A bank may name a dispute's amount in another currency than the payment's: it then takes all that is left of it.
    ("allocationreversal", "dispute_id, organization_id", "dispute", "id, organization_id"),
    ("gatewaysubscription", "subscription_id, organization_id", "subscription", "id, organization_id"),
    ("gatewaysubscription", "payment_id, organization_id", "payment", "id, organization_id"),
    ("gatewaysubscription", "payment_id, gateway, is_live", "payment", "id, gateway, is_live"),
    ("journalentry", "payment_id, organization_id", "payment", "id, organization_id"),
    ("journalentry", "invoice_id, organization_id", "invoice", "id, organization_id"),
    ("journalentry", "refund_id, organization_id", "refund", "id, organization_id"),
    ("journalentry", "dispute_id, organization_id", "dispute", "id, organization_id"),
    ("journalentry", "creditgrant_id, organization_id", "creditgrant", "id, organization_id"),
]


def composite_keys() -> list[migrations.RunSQL]:
    """The keys above, which Django cannot declare. A reference that is null is not checked."""
    keys = sorted({(target, columns) for _table, _own, target, columns in SAME_OWNER})
    unique = {key: f"billing_{key[0]}_key_{number}" for number, key in enumerate(keys)}
    statements = [
        migrations.RunSQL(
            f"ALTER TABLE billing_{target} ADD CONSTRAINT {name} UNIQUE ({columns})",
            f"ALTER TABLE billing_{target} DROP CONSTRAINT {name}",
        )
        for (target, columns), name in unique.items()
    ]
    for table, own, target, columns in SAME_OWNER:
        name = f"billing_{table}_{own.partition('_id')[0]}_same_{'gateway' if 'gateway' in own else 'owner'}"
        statements.append(
            migrations.RunSQL(
                f"ALTER TABLE billing_{table} ADD CONSTRAINT {name} FOREIGN KEY ({own})"
                f" REFERENCES billing_{target} ({columns}) DEFERRABLE INITIALLY DEFERRED",
                f"ALTER TABLE billing_{table} DROP CONSTRAINT {name}",
            )
        )
    return statements


# A subscription has one plan at any time; a plan whose change was not paid has no time. As with billed periods, a
# single uuid is compared as a range of one.
ONE_PLAN = """
ALTER TABLE billing_subscriptionitem ADD CONSTRAINT billing_subscription_one_plan EXCLUDE USING gist (
    billing_uuidrange(subscription_id, subscription_id, '[]') WITH &&, tstzrange(valid_from, valid_until) WITH &&
) WHERE (kind = 'plan' AND valid_from IS NOT NULL);
"""
# An item is sold at a price in its own currency.
PRICES = "".join(
    f"ALTER TABLE catalog_{price}price ADD CONSTRAINT catalog_{price}price_key UNIQUE (id, currency);\n"
    f"ALTER TABLE billing_subscriptionitem ADD CONSTRAINT billing_subscriptionitem_{price}_price_same_currency"
    f" FOREIGN KEY ({price}_price_id, currency) REFERENCES catalog_{price}price (id, currency)"
    " DEFERRABLE INITIALLY DEFERRED;\n"
    for price in ("plan", "addon")
)
NO_PRICES = "".join(
    f"ALTER TABLE billing_subscriptionitem DROP CONSTRAINT billing_subscriptionitem_{price}_price_same_currency;\n"
    f"ALTER TABLE catalog_{price}price DROP CONSTRAINT catalog_{price}price_key;\n"
    for price in ("plan", "addon")
)
# Hours begin when the clock says so, in UTC: so two of a subscription never overlap. A draft collects those of a month.
HOURS = """
ALTER TABLE billing_usagecycle ADD CONSTRAINT billing_usage_hour_whole
    CHECK (extract(epoch FROM hour) % 3600 = 0);
ALTER TABLE billing_invoice ADD CONSTRAINT billing_invoice_usage_of_whole_month
    CHECK (extract(day FROM usage_month) = 1);
"""
NO_HOURS = """
ALTER TABLE billing_usagecycle DROP CONSTRAINT billing_usage_hour_whole;
ALTER TABLE billing_invoice DROP CONSTRAINT billing_invoice_usage_of_whole_month;
"""
UNDO = """
DROP TRIGGER billing_balance_is_its_postings ON billing_ledgeraccount;
DROP TRIGGER billing_entry_has_postings ON billing_journalentry;
DROP TRIGGER billing_check_postings ON billing_posting;
DROP FUNCTION billing_balance_is_its_postings();
DROP FUNCTION billing_entry_has_postings();
DROP FUNCTION billing_check_postings();
ALTER TABLE billing_journalentry DROP COLUMN written_in;
"""
SERIES = """
INSERT INTO billing_invoiceseries (code, document, credit_note_series_id, is_default, prefix, width, restarts_yearly,
    year, next_number, seller, seller_address, seller_tax_id)
VALUES ('NB-CN', 'credit_note', NULL, false, 'NB-CN-', 5, true, 0, 1, '', '', ''),
    ('NB', 'invoice', 'NB-CN', true, 'NB-', 5, true, 0, 1, '', '', '')
ON CONFLICT (code) DO NOTHING
"""
# A column `gateway` holds the code of a gateway account. The first account uses the keys of the environment.
# What is made at an account is live or a test as the account is, so its first payment decides that for good.
LIVE_COLUMNS = ("payment", "paymentmethod", "gatewaycustomer", "gatewaysubscription", "unexplaineditem")
GATEWAY_COLUMNS = ("gatewaybalance", "gatewaycursor", "gatewayevent", "gatewayprice")
GATEWAYS = (
    "ALTER TABLE billing_gatewayaccount ADD CONSTRAINT billing_gatewayaccount_mode UNIQUE (code, is_live);\n"
) + "".join(
    f"ALTER TABLE billing_{table} ADD CONSTRAINT billing_{table}_gateway_known FOREIGN KEY (gateway, is_live)"
    " REFERENCES billing_gatewayaccount (code, is_live) DEFERRABLE INITIALLY DEFERRED;\n"
    for table in LIVE_COLUMNS
)
GATEWAYS += "".join(
    f"ALTER TABLE billing_{table} ADD CONSTRAINT billing_{table}_gateway_known FOREIGN KEY (gateway)"
    " REFERENCES billing_gatewayaccount (code) DEFERRABLE INITIALLY DEFERRED;\n"
    for table in GATEWAY_COLUMNS
)
NO_GATEWAYS = (
    "".join(
        f"ALTER TABLE billing_{table} DROP CONSTRAINT billing_{table}_gateway_known;\n"
        for table in (*LIVE_COLUMNS, *GATEWAY_COLUMNS)
    )
    + "ALTER TABLE billing_gatewayaccount DROP CONSTRAINT billing_gatewayaccount_mode;\n"
)
FIRST_GATEWAY = """
INSERT INTO billing_gatewayaccount (id, code, kind, name, credentials, currencies, position, is_live, is_active)
VALUES (uuidv7(), 'stripe', 'stripe', 'Stripe', '', '[]', 0, false, true)
ON CONFLICT (code) DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [
        migrations.RunSQL(SEALED + BALANCED + BALANCES, UNDO),
        migrations.RunSQL(grants.RULES, grants.UNDO),
        migrations.RunSQL(invoices.RULES, invoices.UNDO),
        migrations.RunSQL(allocations.RULES, allocations.UNDO),
        migrations.RunSQL(recorded.RULES, recorded.UNDO),
        migrations.RunSQL(taxes.RULES, taxes.UNDO),
        migrations.RunSQL(periods.RULES, periods.UNDO),
        migrations.RunSQL(
            ONE_PLAN, "ALTER TABLE billing_subscriptionitem DROP CONSTRAINT billing_subscription_one_plan"
        ),
        migrations.RunSQL(HOURS, NO_HOURS),
        *composite_keys(),
        migrations.RunSQL(PRICES, NO_PRICES),
        migrations.RunSQL(GATEWAYS, NO_GATEWAYS),
        migrations.RunSQL(FIRST_GATEWAY, "DELETE FROM billing_gatewayaccount WHERE code = 'stripe'"),
        migrations.RunSQL(SERIES, "DELETE FROM billing_invoiceseries WHERE code LIKE 'NB%' AND next_number = 1"),
    ]
