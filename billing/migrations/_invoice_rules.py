"""What the database enforces of invoices: numbers given at commit, nothing changed once issued, sums that agree, and
no time billed twice.
"""

# A number is given when the transaction commits, because the series' lock makes all other documents wait: taken
# earlier, it would be held for the rest of the business transaction. The first document numbers all those of its
# transaction. The audit chain's lock comes first, so that two transactions that also write audit entries never wait for
# each other, nor two that issue invoices and credit notes. Both share the functions; TG_ARGV[0] names the document.
NUMBERS = """
CREATE FUNCTION billing_number_documents() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    series billing_invoiceseries;
    is_numbered boolean;
    now_at timestamptz;
    run record;
BEGIN
    EXECUTE format('SELECT number IS NOT NULL FROM %I WHERE id = $1', TG_TABLE_NAME) INTO is_numbered USING NEW.id;
    IF is_numbered THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('core_audit_chain'));
    SELECT * INTO series FROM billing_invoiceseries WHERE code = NEW.series_id FOR NO KEY UPDATE;
    IF series.document <> TG_ARGV[0] THEN
        RAISE EXCEPTION 'series % does not number this kind of document', series.code
            USING ERRCODE = 'check_violation';
    END IF;
    now_at := clock_timestamp();  -- an application server whose clock is ahead must not date a document in the future
    FOR run IN EXECUTE format(
        'SELECT CASE WHEN $1 THEN extract(year FROM issued_at AT TIME ZONE ''UTC'') ELSE 0 END AS year,
            array_agg(id ORDER BY issued_at, id) AS ids, max(issued_at) AS last_issued_at
        FROM (SELECT id, greatest(least(issued_at, $2), $3) AS issued_at FROM %I
            WHERE series_id = $4 AND number IS NULL AND issued_at IS NOT NULL) unnumbered
        GROUP BY 1 ORDER BY 1', TG_TABLE_NAME)
        USING series.restarts_yearly, now_at, series.last_issued_at, series.code
    LOOP
        IF run.year <> series.year THEN
            series.year := run.year;
            series.next_number := 1;
        END IF;
        EXECUTE format(
            'UPDATE %I document SET
                sequence_year = $1,
                sequence = numbered.place,
                number = $2 || lpad(numbered.place::text, greatest($3, length(numbered.place::text)), ''0''),
                issued_at = greatest(least(document.issued_at, $4), $5)
            FROM (SELECT id, $6 + ordinal - 1 AS place FROM unnest($7) WITH ORDINALITY AS run (id, ordinal)) numbered
            WHERE document.id = numbered.id', TG_TABLE_NAME)
            USING series.year, series.prefix || CASE WHEN series.restarts_yearly THEN series.year || '-' ELSE '' END,
                series.width::integer, now_at, series.last_issued_at, series.next_number, run.ids;
        series.next_number := series.next_number + cardinality(run.ids);
        series.last_issued_at := run.last_issued_at;
    END LOOP;
    UPDATE billing_invoiceseries SET year = series.year, next_number = series.next_number,
        last_issued_at = series.last_issued_at WHERE code = series.code;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_number_issued AFTER INSERT OR UPDATE OF issued_at ON billing_invoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.issued_at IS NOT NULL AND NEW.number IS NULL)
    EXECUTE FUNCTION billing_number_documents('invoice');
CREATE CONSTRAINT TRIGGER billing_number_issued AFTER INSERT ON billing_creditnote
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_number_documents('credit_note');

CREATE FUNCTION billing_series_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.code, NEW.document) <> (OLD.code, OLD.document) THEN
        RAISE EXCEPTION 'series % keeps its code and its kind of document', OLD.code
            USING ERRCODE = 'restrict_violation';
    ELSIF pg_trigger_depth() < 2 AND (NEW.year, NEW.next_number, NEW.last_issued_at)
            IS DISTINCT FROM (OLD.year, OLD.next_number, OLD.last_issued_at) THEN
        RAISE EXCEPTION 'numbers are given at commit only' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_series_counts BEFORE UPDATE ON billing_invoiceseries
    FOR EACH ROW EXECUTE FUNCTION billing_series_counts();
"""
# An issued document keeps every column but those named at its trigger; a new column is frozen without being named. Its
# lines stay, but for the first period of a subscription: it begins when its invoice is paid, and the line gets it then.
# The moment of payment changes only together with the state.
ISSUED = """
CREATE FUNCTION billing_issued_document_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free text[] := string_to_array(TG_ARGV[1], ',');
    old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.issued_at IS NOT NULL THEN
            RAISE EXCEPTION '% % was issued: it is voided or credited, never deleted', TG_ARGV[0], OLD.number
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF pg_trigger_depth() > 1 AND OLD.number IS NULL THEN
        free := free || ARRAY['number', 'sequence', 'sequence_year', 'issued_at'];  -- billing_number_documents
    ELSIF NEW.number IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.number IS NULL) THEN
        RAISE EXCEPTION 'numbers are given at commit only' USING ERRCODE = 'restrict_violation';
    END IF;
    IF new_row -> 'state' = old_row -> 'state' THEN
        free := array_remove(free, 'paid_at');
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.issued_at IS NOT NULL AND new_row - free <> old_row - free THEN
        RAISE EXCEPTION '% % was issued and does not change', TG_ARGV[0], OLD.number
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_issued_invoice_stays BEFORE INSERT OR UPDATE OR DELETE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_issued_document_stays('invoice', 'state,paid_at,updated_at');
CREATE TRIGGER billing_issued_credit_note_stays BEFORE INSERT OR UPDATE OR DELETE ON billing_creditnote
    FOR EACH ROW EXECUTE FUNCTION billing_issued_document_stays('credit note', 'updated_at,voided_at');

CREATE FUNCTION billing_void_credit_note_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'credit note % is void for good', OLD.number USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER billing_void_credit_note_stays BEFORE UPDATE OF voided_at ON billing_creditnote
    FOR EACH ROW WHEN (OLD.voided_at IS NOT NULL AND NEW.voided_at IS DISTINCT FROM OLD.voided_at)
    EXECUTE FUNCTION billing_void_credit_note_stays();

CREATE FUNCTION billing_issued_line_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoice record;
    free text[];
    old_line jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_line jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
BEGIN
    -- The lock waits for a transaction that is issuing the invoice; one that begins afterwards waits for this line.
    FOR invoice IN SELECT id, issued_at, state, state IN ('void', 'expired') AS is_void FROM billing_invoice
        WHERE id IN (CASE WHEN TG_OP <> 'INSERT' THEN OLD.invoice_id END,
                     CASE WHEN TG_OP <> 'DELETE' THEN NEW.invoice_id END)
        ORDER BY id FOR NO KEY UPDATE
    LOOP
        IF TG_TABLE_NAME = 'billing_invoiceitem' AND TG_OP <> 'DELETE' AND invoice.id = NEW.invoice_id THEN
            NEW.is_void := invoice.is_void;
        END IF;
        free := ARRAY['is_void'];
        IF invoice.state IN ('open', 'overdue') AND old_line ->> 'period_start' IS NULL THEN
            free := free || ARRAY['period_start', 'period_end'];
        END IF;
        IF invoice.issued_at IS NOT NULL AND old_line - free IS DISTINCT FROM new_line - free THEN
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
# Which state of an invoice may follow which: Invoice.TRANSITIONS.
STATES = """
CREATE FUNCTION billing_invoice_state_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('draft', 'open') THEN
            RAISE EXCEPTION 'an invoice does not begin as %', NEW.state USING ERRCODE = 'restrict_violation';
        END IF;
    ELSIF (OLD.state, NEW.state) NOT IN (
        ('draft', 'open'), ('draft', 'expired'), ('expired', 'open'), ('open', 'paid'), ('open', 'overdue'),
        ('open', 'void'), ('overdue', 'paid'), ('overdue', 'void'), ('paid', 'refunded'), ('refunded', 'paid')
    ) THEN
        RAISE EXCEPTION 'invoice % cannot go from % to %', coalesce(OLD.number, OLD.id::text), OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_invoice_begins BEFORE INSERT ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION billing_invoice_state_follows();
CREATE TRIGGER billing_invoice_state_follows BEFORE UPDATE ON billing_invoice
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION billing_invoice_state_follows();
"""
# The credit notes of an invoice that are not void never exceed it. The lock makes a second one wait for the first.
CREDITS = """
CREATE FUNCTION billing_credit_is_within_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoice billing_invoice;
    credited record;
BEGIN
    SELECT * INTO invoice FROM billing_invoice WHERE id = NEW.invoice_id FOR NO KEY UPDATE;
    SELECT sum(net_minor) AS net, sum(tax_minor) AS tax INTO credited FROM billing_creditnote
        WHERE invoice_id = NEW.invoice_id AND voided_at IS NULL;
    IF invoice.issued_at IS NULL OR credited.net > invoice.net_minor OR credited.tax > invoice.tax_minor THEN
        RAISE EXCEPTION 'credit notes of % net and % tax are more than invoice % was issued over',
            credited.net, credited.tax, NEW.invoice_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_credit_is_within_invoice AFTER INSERT ON billing_creditnote
    FOR EACH ROW EXECUTE FUNCTION billing_credit_is_within_invoice();
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
# of the invoice decides about its items in the same transaction: whoever bills the time meanwhile waits for it. Usage
# is billed after the time that its item's price was billed for in advance, so it is compared with usage only.
PERIODS = """
CREATE TYPE billing_uuidrange AS RANGE (subtype = uuid);

ALTER TABLE billing_invoiceitem ADD CONSTRAINT billing_item_period_billed_once EXCLUDE USING gist (
    billing_uuidrange(subscription_item_id, subscription_item_id, '[]') WITH &&,
    tstzrange(period_start, period_end) WITH &&
) WHERE (period_start IS NOT NULL AND kind IN ('plan', 'addon', 'proration') AND NOT is_void);
ALTER TABLE billing_invoiceitem ADD CONSTRAINT billing_item_usage_billed_once EXCLUDE USING gist (
    billing_uuidrange(subscription_item_id, subscription_item_id, '[]') WITH &&,
    tstzrange(period_start, period_end) WITH &&
) WHERE (period_start IS NOT NULL AND kind = 'usage' AND NOT is_void);

CREATE FUNCTION billing_void_invoice_bills_no_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing_invoiceitem SET is_void = NEW.state IN ('void', 'expired') WHERE invoice_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_void_invoice_bills_no_time AFTER UPDATE OF state ON billing_invoice
    FOR EACH ROW WHEN ((OLD.state IN ('void', 'expired')) <> (NEW.state IN ('void', 'expired')))
    EXECUTE FUNCTION billing_void_invoice_bills_no_time();
"""
# The net amount of an issued invoice is the sum of its items, its tax the sum of its tax lines. Where the items include
# the tax, their sum is the total.
SUMS = """
CREATE FUNCTION billing_invoice_is_its_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    items bigint := (SELECT coalesce(sum(amount_minor), 0) FROM billing_invoiceitem WHERE invoice_id = NEW.id);
    taxes bigint := (SELECT coalesce(sum(tax_minor), 0) FROM billing_invoicetax WHERE invoice_id = NEW.id);
    net bigint := items - CASE WHEN NEW.is_tax_inclusive THEN taxes ELSE 0 END;
BEGIN
    IF (net, taxes) <> (NEW.net_minor, NEW.tax_minor) THEN
        RAISE EXCEPTION 'invoice % has items of % net and a net amount of %, tax lines of % and a tax of %',
            NEW.id, net, NEW.net_minor, taxes, NEW.tax_minor USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_invoice_is_its_lines AFTER INSERT OR UPDATE OF issued_at ON billing_invoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.issued_at IS NOT NULL AND NEW.number IS NULL)
    EXECUTE FUNCTION billing_invoice_is_its_lines();
"""
RULES = NUMBERS + ISSUED + SUMS + STATES + CREDITS + AMOUNTS + PERIODS
UNDO = """
DROP TRIGGER billing_void_invoice_bills_no_time ON billing_invoice;
DROP FUNCTION billing_void_invoice_bills_no_time();
ALTER TABLE billing_invoiceitem DROP CONSTRAINT billing_item_period_billed_once;
ALTER TABLE billing_invoiceitem DROP CONSTRAINT billing_item_usage_billed_once;
DROP TYPE billing_uuidrange;
ALTER TABLE billing_invoiceitem DROP CONSTRAINT billing_item_amount_is_rounded_once;
DROP FUNCTION billing_round_half_even(numeric);
DROP TRIGGER billing_invoice_is_its_lines ON billing_invoice;
DROP FUNCTION billing_invoice_is_its_lines();
DROP TRIGGER billing_issued_line_stays ON billing_invoiceitem;
DROP TRIGGER billing_issued_line_stays ON billing_invoicetax;
DROP TRIGGER billing_issued_invoice_stays ON billing_invoice;
DROP TRIGGER billing_issued_credit_note_stays ON billing_creditnote;
DROP TRIGGER billing_void_credit_note_stays ON billing_creditnote;
DROP FUNCTION billing_void_credit_note_stays();
DROP TRIGGER billing_invoice_begins ON billing_invoice;
DROP TRIGGER billing_invoice_state_follows ON billing_invoice;
DROP TRIGGER billing_credit_is_within_invoice ON billing_creditnote;
DROP TRIGGER billing_series_counts ON billing_invoiceseries;
DROP TRIGGER billing_number_issued ON billing_invoice;
DROP TRIGGER billing_number_issued ON billing_creditnote;
DROP FUNCTION billing_issued_line_stays();
DROP FUNCTION billing_issued_document_stays();
DROP FUNCTION billing_invoice_state_follows();
DROP FUNCTION billing_credit_is_within_invoice();
DROP FUNCTION billing_series_counts();
DROP FUNCTION billing_number_documents();
"""
