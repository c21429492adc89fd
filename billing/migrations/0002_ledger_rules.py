"""The ledger's rules as triggers: entries sum to zero, wallets follow their postings, issued invoices do not change."""

from django.db import migrations

# Checked at commit, once per posting: an entry sums to zero in each currency and has at least two postings.
BALANCED = """
CREATE FUNCTION billing_entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entry uuid := to_jsonb(NEW)->>(CASE TG_TABLE_NAME WHEN 'billing_posting' THEN 'entry_id' ELSE 'id' END);
    off record;
BEGIN
    SELECT currency, sum(amount_minor) AS total INTO off FROM billing_posting
        WHERE entry_id = entry GROUP BY currency HAVING sum(amount_minor) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % is off by % %', entry, off.total, off.currency
            USING ERRCODE = 'check_violation';
    END IF;
    IF (SELECT count(*) FROM billing_posting WHERE entry_id = entry) < 2 THEN
        RAISE EXCEPTION 'journal entry % has fewer than two postings', entry USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_posting_balances AFTER INSERT ON billing_posting
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_entry_balances();
CREATE CONSTRAINT TRIGGER billing_entry_balances AFTER INSERT ON billing_journalentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_entry_balances();
"""
# Wallets have a running balance. The database updates it with each posting, so no code can forget or invent it.
WALLETS = """
CREATE FUNCTION billing_move_wallets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added JOIN billing_ledgeraccount a ON a.id = added.account_id
               WHERE a.currency <> added.currency) THEN
        RAISE EXCEPTION 'a posting is in another currency than its account' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE billing_ledgeraccount account SET balance_minor = account.balance_minor + moved.total
    FROM (SELECT account_id, sum(amount_minor) AS total FROM added GROUP BY account_id) moved
    WHERE account.id = moved.account_id AND account.kind = 'wallet' AND moved.total <> 0;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_posting_moves_wallets AFTER INSERT ON billing_posting
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing_move_wallets();

CREATE FUNCTION billing_wallet_is_its_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.balance_minor <> 0 THEN
            RAISE EXCEPTION 'a ledger account begins at zero' USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.balance_minor <> OLD.balance_minor AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'a balance moves by postings only' USING ERRCODE = 'restrict_violation';
    ELSIF (NEW.kind, NEW.currency, NEW.gateway, NEW.organization_id)
          IS DISTINCT FROM (OLD.kind, OLD.currency, OLD.gateway, OLD.organization_id) THEN
        RAISE EXCEPTION 'a ledger account does not change' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_wallet_is_its_postings BEFORE INSERT OR UPDATE ON billing_ledgeraccount
    FOR EACH ROW EXECUTE FUNCTION billing_wallet_is_its_postings();
"""
# An issued invoice and its items never change, except for the state.
ISSUED = """
CREATE FUNCTION billing_issued_invoice_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.number IS NOT NULL THEN
            RAISE EXCEPTION 'invoice % was issued: it is voided or credited, never deleted', OLD.number
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF OLD.number IS NOT NULL AND (NEW.number, NEW.organization_id, NEW.currency, NEW.total_minor, NEW.issued_at,
            NEW.billing_address, NEW.series_id)
        IS DISTINCT FROM (OLD.number, OLD.organization_id, OLD.currency, OLD.total_minor, OLD.issued_at,
            OLD.billing_address, OLD.series_id) THEN
        RAISE EXCEPTION 'invoice % was issued and does not change', OLD.number USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_issued_invoice_stays BEFORE UPDATE OR DELETE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_issued_invoice_stays();

CREATE FUNCTION billing_issued_item_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoice uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.invoice_id ELSE OLD.invoice_id END;
    number text := (SELECT i.number FROM billing_invoice i WHERE i.id = invoice);
BEGIN
    IF number IS NOT NULL THEN
        RAISE EXCEPTION 'the items of invoice % do not change', number USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER billing_issued_item_stays BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceitem
    FOR EACH ROW EXECUTE FUNCTION billing_issued_item_stays();
"""
UNDO = """
DROP TRIGGER billing_issued_item_stays ON billing_invoiceitem;
DROP TRIGGER billing_issued_invoice_stays ON billing_invoice;
DROP TRIGGER billing_wallet_is_its_postings ON billing_ledgeraccount;
DROP TRIGGER billing_posting_moves_wallets ON billing_posting;
DROP TRIGGER billing_entry_balances ON billing_journalentry;
DROP TRIGGER billing_posting_balances ON billing_posting;
DROP FUNCTION billing_issued_item_stays();
DROP FUNCTION billing_issued_invoice_stays();
DROP FUNCTION billing_wallet_is_its_postings();
DROP FUNCTION billing_move_wallets();
DROP FUNCTION billing_entry_balances();
"""
SERIES = """
INSERT INTO billing_invoiceseries (code, pattern, next_number) VALUES ('NB', 'NB-{year}-{number:05d}', 1)
ON CONFLICT (code) DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [
        migrations.RunSQL(BALANCED + WALLETS + ISSUED, UNDO),
        migrations.RunSQL(SERIES, "DELETE FROM billing_invoiceseries WHERE code = 'NB' AND next_number = 1"),
    ]
