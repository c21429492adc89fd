"""What the database enforces of invoices: numbers given at commit, nothing changed once issued, sums that agree, and
no time billed twice.
"""

# A number is given when the transaction commits, because the series' lock makes all other invoices wait: taken earlier,
# it would be held for the rest of the business transaction. The first invoice numbers all those of its transaction. The
# audit chain's lock comes first, so that two transactions that also write audit entries never wait for each other.
NUMBERS = """
CREATE FUNCTION billing_number_invoices() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    series billing_invoiceseries;
    run record;
BEGIN
    IF (SELECT number IS NOT NULL FROM billing_invoice WHERE id = NEW.id) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('core_audit_chain'));
    SELECT * INTO series FROM billing_invoiceseries WHERE code = NEW.series_id FOR NO KEY UPDATE;
    FOR run IN
        SELECT CASE WHEN series.restarts_yearly THEN extract(year FROM issued_at AT TIME ZONE 'UTC') ELSE 0 END AS year,
            array_agg(id ORDER BY issued_at, id) AS ids, max(issued_at) AS last_issued_at
        FROM (SELECT id, greatest(issued_at, series.last_issued_at) AS issued_at FROM billing_invoice
            WHERE series_id = series.code AND number IS NULL AND issued_at IS NOT NULL) unnumbered
        GROUP BY 1 ORDER BY 1
    LOOP
        IF run.year <> series.year THEN
            series.year := run.year;
            series.next_number := 1;
        END IF;
        UPDATE billing_invoice invoice SET
            sequence_year = series.year,
            sequence = series.next_number + numbered.place - 1,
            number = series.prefix || CASE WHEN series.restarts_yearly THEN series.year || '-' ELSE '' END || lpad(
                (series.next_number + numbered.place - 1)::text,
                greatest(series.width, length((series.next_number + numbered.place - 1)::text)), '0'),
            issued_at = greatest(invoice.issued_at, series.last_issued_at)
        FROM unnest(run.ids) WITH ORDINALITY AS numbered (id, place) WHERE invoice.id = numbered.id;
        series.next_number := series.next_number + cardinality(run.ids);
        series.last_issued_at := run.last_issued_at;
    END LOOP;
    UPDATE billing_invoiceseries SET year = series.year, next_number = series.next_number,
        last_issued_at = series.last_issued_at WHERE code = series.code;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_number_issued AFTER INSERT OR UPDATE OF issued_at ON billing_invoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.issued_at IS NOT NULL AND NEW.number IS NULL)
    EXECUTE FUNCTION billing_number_invoices();

CREATE FUNCTION billing_series_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 AND (NEW.code, NEW.year, NEW.next_number, NEW.last_issued_at)
            IS DISTINCT FROM (OLD.code, OLD.year, OLD.next_number, OLD.last_issued_at) THEN
        RAISE EXCEPTION 'numbers are given at commit only' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_series_counts BEFORE UPDATE ON billing_invoiceseries
    FOR EACH ROW EXECUTE FUNCTION billing_series_counts();
"""
# An issued invoice keeps every column but those named here; a new column is frozen without being named. Its lines stay.
ISSUED = """
CREATE FUNCTION billing_issued_invoice_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free text[] := ARRAY['state', 'paid_at', 'updated_at'];
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.issued_at IS NOT NULL THEN
            RAISE EXCEPTION 'invoice % was issued: it is voided or credited, never deleted', OLD.number
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF pg_trigger_depth() > 1 AND OLD.number IS NULL THEN
        free := free || ARRAY['number', 'sequence', 'sequence_year', 'issued_at'];  -- billing_number_invoices
    ELSIF NEW.number IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.number IS NULL) THEN
        RAISE EXCEPTION 'numbers are given at commit only' USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.issued_at IS NOT NULL AND to_jsonb(NEW) - free <> to_jsonb(OLD) - free THEN
        RAISE EXCEPTION 'invoice % was issued and does not change', OLD.number USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_issued_invoice_stays BEFORE INSERT OR UPDATE OR DELETE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_issued_invoice_stays();

CREATE FUNCTION billing_issued_line_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoice record;
    old_line jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_line jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
BEGIN
    -- The lock waits for a transaction that is issuing the invoice; one that begins afterwards waits for this line.
    FOR invoice IN SELECT id, issued_at, state IN ('void', 'expired') AS is_void FROM billing_invoice
        WHERE id IN (CASE WHEN TG_OP <> 'INSERT' THEN OLD.invoice_id END,
                     CASE WHEN TG_OP <> 'DELETE' THEN NEW.invoice_id END)
        ORDER BY id FOR NO KEY UPDATE
    LOOP
        IF TG_TABLE_NAME = 'billing_invoiceitem' AND TG_OP <> 'DELETE' AND invoice.id = NEW.invoice_id THEN
            NEW.is_void := invoice.is_void;
        END IF;
        IF invoice.issued_at IS NOT NULL AND old_line - 'is_void' IS DISTINCT FROM new_line - 'is_void' THEN
            RAISE EXCEPTION 'the lines of invoice %, which was issued, do not change', invoice.id
                USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;

CREATE TRIGGER billing_issued_line_stays BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceitem
    FOR EACH ROW EXECUTE FUNCTION billing_issued_line_stays();

CREATE TRIGGER billing_issued_line_stays BEFORE INSERT OR UPDATE OR DELETE ON billing_invoicetax
    FOR EACH ROW EXECUTE FUNCTION billing_issued_line_stays();
"""
# Quantity and unit price are exact, the amount is rounded once: to a whole minor unit, half to even.
AMOUNTS = """
CREATE FUNCTION billing_round_half_even(value numeric) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN round(value) - CASE WHEN abs(value - trunc(value)) = 0.5 AND mod(round(value), 2) <> 0 THEN sign(value)
    ELSE 0 END;

ALTER TABLE billing_invoiceitem ADD CONSTRAINT billing_item_amount_is_rounded_once
    CHECK (amount_minor = billing_round_half_even(quantity * unit_minor));
"""
# A time is billed once per item of a subscription, until the invoice is void or expires unpaid. A GiST index compares
# ranges; without btree_gist it has no operators for a single uuid, so the item is written as a range of one. The state
# of the invoice decides about its items in the same transaction: whoever bills the time meanwhile waits for it.
PERIODS = """
CREATE TYPE billing_uuidrange AS RANGE (subtype = uuid);

ALTER TABLE billing_invoiceitem ADD CONSTRAINT billing_item_period_billed_once EXCLUDE USING gist (
    billing_uuidrange(subscription_item_id, subscription_item_id, '[]') WITH &&,
    tstzrange(period_start, period_end) WITH &&
) WHERE (period_start IS NOT NULL AND kind IN ('plan', 'addon') AND NOT is_void);

CREATE FUNCTION billing_void_invoice_bills_no_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing_invoiceitem SET is_void = NEW.state IN ('void', 'expired') WHERE invoice_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_void_invoice_bills_no_time AFTER UPDATE OF state ON billing_invoice
    FOR EACH ROW WHEN ((OLD.state IN ('void', 'expired')) <> (NEW.state IN ('void', 'expired')))
    EXECUTE FUNCTION billing_void_invoice_bills_no_time();
"""
# The net amount of an issued invoice is the sum of its items, its tax the sum of its tax lines.
SUMS = """
CREATE FUNCTION billing_invoice_is_its_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    items bigint := (SELECT coalesce(sum(amount_minor), 0) FROM billing_invoiceitem WHERE invoice_id = NEW.id);
    taxes bigint := (SELECT coalesce(sum(tax_minor), 0) FROM billing_invoicetax WHERE invoice_id = NEW.id);
BEGIN
    IF (items, taxes) <> (NEW.net_minor, NEW.tax_minor) THEN
        RAISE EXCEPTION 'invoice % has items of % and a net amount of %, tax lines of % and a tax of %',
            NEW.id, items, NEW.net_minor, taxes, NEW.tax_minor USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_invoice_is_its_lines AFTER INSERT OR UPDATE OF issued_at ON billing_invoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.issued_at IS NOT NULL AND NEW.number IS NULL)
    EXECUTE FUNCTION billing_invoice_is_its_lines();
"""
RULES = NUMBERS + ISSUED + SUMS + AMOUNTS + PERIODS
UNDO = """
DROP TRIGGER billing_void_invoice_bills_no_time ON billing_invoice;
DROP FUNCTION billing_void_invoice_bills_no_time();
ALTER TABLE billing_invoiceitem DROP CONSTRAINT billing_item_period_billed_once;
DROP TYPE billing_uuidrange;
ALTER TABLE billing_invoiceitem DROP CONSTRAINT billing_item_amount_is_rounded_once;
DROP FUNCTION billing_round_half_even(numeric);
DROP TRIGGER billing_invoice_is_its_lines ON billing_invoice;
DROP FUNCTION billing_invoice_is_its_lines();
DROP TRIGGER billing_issued_line_stays ON billing_invoiceitem;
DROP TRIGGER billing_issued_line_stays ON billing_invoicetax;
DROP TRIGGER billing_issued_invoice_stays ON billing_invoice;
DROP TRIGGER billing_series_counts ON billing_invoiceseries;
DROP TRIGGER billing_number_issued ON billing_invoice;
DROP FUNCTION billing_issued_line_stays();
DROP FUNCTION billing_issued_invoice_stays();
DROP FUNCTION billing_series_counts();
DROP FUNCTION billing_number_invoices();
"""
