"""What the database enforces of invoices: numbers given at commit, nothing changed once issued, sums that agree, and
no time billed twice.
"""

# A number is given when the transaction commits, because the series' lock makes all other documents wait: taken
# earlier, it would be held for the rest of the business transaction. The first document numbers all those of its
# transaction. The audit chain's lock comes first, so that two transactions that also write audit entries never wait for
# each other, nor two that issue invoices and credit notes. Both share the functions; TG_ARGV[0] names the document.
# An invoice gets its number only if its net amount is the sum of its items and its tax that of its tax lines; where the
# items include the tax, their sum is the total. Nothing of it changes afterwards.
NUMBERS = """
CREATE FUNCTION billing_check_lines_of_invoices(issued uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    EXECUTE 'SELECT * FROM (SELECT id, net_minor, tax_minor, taxes,
            items - CASE WHEN is_tax_inclusive THEN taxes ELSE 0 END AS net
        FROM (SELECT invoice.*,
                (SELECT coalesce(sum(amount_minor), 0) FROM billing_invoiceitem WHERE invoice_id = invoice.id) AS items,
                (SELECT coalesce(sum(tax_minor), 0) FROM billing_invoicetax WHERE invoice_id = invoice.id) AS taxes
            FROM billing_invoice invoice WHERE id = ANY ($1)) counted) summed
        WHERE (net, taxes) <> (net_minor, tax_minor) LIMIT 1' INTO wrong USING issued;
    IF wrong.id IS NOT NULL THEN
        RAISE EXCEPTION 'invoice % has items of % net and a net amount of %, tax lines of % and a tax of %',
            wrong.id, wrong.net, wrong.net_minor, wrong.taxes, wrong.tax_minor USING ERRCODE = 'check_violation';
    END IF;
END $$;

CREATE FUNCTION billing_number_documents() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    series billing_invoiceseries;
    is_numbered boolean;
    now_at timestamptz;
    run record;
BEGIN
    IF TG_TABLE_NAME = 'billing_invoice' THEN  -- not EXECUTE: this is asked for each document of a run
        SELECT number IS NOT NULL INTO is_numbered FROM billing_invoice WHERE id = NEW.id;
    ELSE
        SELECT number IS NOT NULL INTO is_numbered FROM billing_creditnote WHERE id = NEW.id;
    END IF;
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
        IF TG_TABLE_NAME = 'billing_invoice' THEN
            PERFORM billing_check_lines_of_invoices(run.ids);
        END IF;
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
# An issued document keeps every column but those set here; a new column is frozen without being named. Rows are
# compared as such, because a run writes many: as JSON it would take several times as long. The moment of payment
# and that of voiding change only together with the state.
ISSUED = """
CREATE FUNCTION billing_document_is_numbered_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'numbers are given at commit only' USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION billing_issued_document_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% % was issued: it is voided or credited, never deleted', TG_ARGV[0], OLD.number
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION billing_issued_document_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept record := NEW;
BEGIN
    IF pg_trigger_depth() > 1 AND OLD.number IS NULL THEN  -- billing_number_documents
        kept.number := OLD.number;
        kept.sequence := OLD.sequence;
        kept.sequence_year := OLD.sequence_year;
        kept.issued_at := OLD.issued_at;
    ELSIF NEW.number IS NOT NULL AND OLD.number IS NULL THEN
        RAISE EXCEPTION 'numbers are given at commit only' USING ERRCODE = 'restrict_violation';
    END IF;
    kept.updated_at := OLD.updated_at;
    IF TG_ARGV[0] = 'credit note' THEN
        kept.voided_at := OLD.voided_at;
    ELSIF NEW.state <> OLD.state THEN
        kept.state := OLD.state;
        kept.paid_at := OLD.paid_at;
        kept.voided_at := OLD.voided_at;
    END IF;
    IF OLD.issued_at IS NOT NULL AND kept IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION '% % was issued and does not change', TG_ARGV[0], OLD.number
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_invoice_begins_without_number BEFORE INSERT ON billing_invoice
    FOR EACH ROW WHEN (NEW.number IS NOT NULL) EXECUTE FUNCTION billing_document_is_numbered_at_commit();
CREATE TRIGGER billing_credit_note_begins_without_number BEFORE INSERT ON billing_creditnote
    FOR EACH ROW WHEN (NEW.number IS NOT NULL) EXECUTE FUNCTION billing_document_is_numbered_at_commit();
CREATE TRIGGER billing_issued_invoice_is_kept BEFORE DELETE ON billing_invoice
    FOR EACH ROW WHEN (OLD.issued_at IS NOT NULL) EXECUTE FUNCTION billing_issued_document_is_kept('invoice');
CREATE TRIGGER billing_issued_credit_note_is_kept BEFORE DELETE ON billing_creditnote
    FOR EACH ROW WHEN (OLD.issued_at IS NOT NULL) EXECUTE FUNCTION billing_issued_document_is_kept('credit note');
CREATE TRIGGER billing_issued_invoice_stays BEFORE UPDATE ON billing_invoice
    FOR EACH ROW WHEN (OLD.issued_at IS NOT NULL OR NEW.number IS NOT NULL)
    EXECUTE FUNCTION billing_issued_document_stays('invoice');
CREATE TRIGGER billing_issued_credit_note_stays BEFORE UPDATE ON billing_creditnote
    FOR EACH ROW EXECUTE FUNCTION billing_issued_document_stays('credit note');

CREATE FUNCTION billing_void_credit_note_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'credit note % is void for good', OLD.number USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER billing_void_credit_note_stays BEFORE UPDATE OF voided_at ON billing_creditnote
    FOR EACH ROW WHEN (OLD.voided_at IS NOT NULL AND NEW.voided_at IS DISTINCT FROM OLD.voided_at)
    EXECUTE FUNCTION billing_void_credit_note_stays();
"""
# Lines are checked as the set that a statement writes, planned anew as postings are. The lines of an issued invoice
# stay, but for the first period of a subscription: it begins when its invoice is paid, and the line gets it then. The
# transaction that issues an invoice may still add lines to it: its sums are checked when it gets its number, at commit.
# The lock waits for a transaction that is issuing the invoice; one that begins afterwards waits for these lines. What
# this transaction has written itself (xmin), nobody else can issue. Only the state of an invoice makes its items void.
LINES = """
CREATE FUNCTION billing_check_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_lines text := CASE WHEN TG_OP = 'INSERT' THEN format('SELECT * FROM %I WHERE false', TG_TABLE_NAME)
        ELSE 'SELECT * FROM before' END;
    new_lines text := CASE WHEN TG_OP = 'DELETE' THEN format('SELECT * FROM %I WHERE false', TG_TABLE_NAME)
        ELSE 'SELECT * FROM after' END;
    wrong uuid;
BEGIN
    EXECUTE format('SELECT FROM billing_invoice WHERE id IN (SELECT invoice_id FROM (%s) old
            UNION ALL SELECT invoice_id FROM (%s) new)
        AND xmin <> pg_current_xact_id()::xid ORDER BY id FOR NO KEY UPDATE', old_lines, new_lines);
    IF TG_OP = 'INSERT' THEN
        EXECUTE 'SELECT min(id::text)::uuid FROM billing_invoice
            WHERE id IN (SELECT invoice_id FROM after) AND number IS NOT NULL' INTO wrong;
    ELSE
        EXECUTE format('SELECT min(invoice.id::text)::uuid FROM (%s) old FULL JOIN (%s) new ON new.id = old.id
            JOIN billing_invoice invoice ON invoice.id IN (old.invoice_id, new.invoice_id)
            CROSS JOIN LATERAL (SELECT ARRAY[''is_void'', ''updated_at''] || CASE
                WHEN invoice.state IN (''open'', ''overdue'') AND to_jsonb(old) ->> ''period_start'' IS NULL
                THEN ARRAY[''period_start'', ''period_end''] ELSE ''{}'' END AS columns) free
            WHERE invoice.issued_at IS NOT NULL
                AND to_jsonb(old) - free.columns IS DISTINCT FROM to_jsonb(new) - free.columns', old_lines, new_lines)
            INTO wrong;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the lines of invoice %, which was issued, do not change', wrong
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_TABLE_NAME = 'billing_invoiceitem' AND TG_OP <> 'DELETE' THEN
        EXECUTE 'SELECT min(invoice.id::text)::uuid FROM after
            JOIN billing_invoice invoice ON invoice.id = after.invoice_id
            WHERE after.is_void <> (invoice.state IN (''void'', ''expired''))' INTO wrong;
        IF wrong IS NOT NULL THEN
            RAISE EXCEPTION 'the items of invoice % are void if and only if it is', wrong
                USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
    RETURN NULL;
END $$;
""" + "".join(
    f"""
CREATE TRIGGER billing_check_lines_{operation.lower()} AFTER {operation} ON billing_{table}
    REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION billing_check_lines();
"""
    for table in ("invoiceitem", "invoicetax")
    for operation, tables in (
        ("INSERT", "NEW TABLE AS after"),
        ("UPDATE", "OLD TABLE AS before NEW TABLE AS after"),
        ("DELETE", "OLD TABLE AS before"),
    )
)
# Which state of an invoice may follow which: Invoice.TRANSITIONS.
STATES = """
CREATE FUNCTION billing_invoice_state_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        RAISE EXCEPTION 'an invoice does not begin as %', NEW.state USING ERRCODE = 'restrict_violation';
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
    FOR EACH ROW WHEN (NEW.state NOT IN ('draft', 'open')) EXECUTE FUNCTION billing_invoice_state_follows();
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
# Quantity and unit price are exact, the amount is rounded once: to a whole minor unit, half to even. Null of null, but
# not STRICT, so that the planner can put its expression in its place.
AMOUNTS = """
CREATE FUNCTION billing_round_half_even(value numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(value) - CASE WHEN abs(value - trunc(value)) = 0.5 AND mod(round(value), 2) <> 0 THEN sign(value)
    ELSE 0 END;

ALTER TABLE billing_invoiceitem ADD CONSTRAINT billing_item_amount_is_rounded_once
    CHECK (amount_minor = billing_round_half_even(quantity * unit_minor));
"""
# A time is billed once per item of a subscription, until the invoice is void or expires unpaid. A GiST index compares
# ranges; without btree_gist it has no operators for a single uuid, so the item is written as a range of one. The state
# of the invoice decides about its items in the same transaction: whoever bills the time meanwhile waits for it. Usage
# is billed after the time that its item's price was billed for in advance, so it is compared with usage only,
# per statement and under the locks of its subscriptions: its range grows by the hour, and to write it into a GiST index
# each time takes ten times as long as all else.
PERIODS = """
CREATE TYPE billing_uuidrange AS RANGE (subtype = uuid);

ALTER TABLE billing_invoiceitem ADD CONSTRAINT billing_item_period_billed_once EXCLUDE USING gist (
    billing_uuidrange(subscription_item_id, subscription_item_id, '[]') WITH &&,
    tstzrange(period_start, period_end) WITH &&
) WHERE (period_start IS NOT NULL AND kind IN ('plan', 'addon', 'proration') AND NOT is_void);

CREATE FUNCTION billing_check_usage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    EXECUTE 'SELECT FROM billing_subscription WHERE id IN (SELECT subscription_id FROM after WHERE kind = ''usage'')
        ORDER BY id FOR NO KEY UPDATE';
    EXECUTE 'SELECT min(line.description) FROM after line
        JOIN billing_invoiceitem other ON other.subscription_item_id = line.subscription_item_id
        WHERE line.kind = ''usage'' AND NOT line.is_void AND other.kind = ''usage'' AND NOT other.is_void
            AND other.id <> line.id AND other.period_start < line.period_end AND other.period_end > line.period_start'
        INTO wrong;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'usage is billed once: % has a line that overlaps', wrong
            USING ERRCODE = 'exclusion_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_check_usage_insert AFTER INSERT ON billing_invoiceitem
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION billing_check_usage();
CREATE TRIGGER billing_check_usage_update AFTER UPDATE ON billing_invoiceitem
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION billing_check_usage();

CREATE FUNCTION billing_void_invoice_bills_no_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE billing_invoiceitem SET is_void = NEW.state IN ('void', 'expired') WHERE invoice_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_void_invoice_bills_no_time AFTER UPDATE OF state ON billing_invoice
    FOR EACH ROW WHEN ((OLD.state IN ('void', 'expired')) <> (NEW.state IN ('void', 'expired')))
    EXECUTE FUNCTION billing_void_invoice_bills_no_time();
"""
RULES = NUMBERS + ISSUED + LINES + STATES + CREDITS + AMOUNTS + PERIODS
UNDO = """
DROP TRIGGER billing_void_invoice_bills_no_time ON billing_invoice;
DROP FUNCTION billing_void_invoice_bills_no_time();
ALTER TABLE billing_invoiceitem DROP CONSTRAINT billing_item_period_billed_once;
DROP FUNCTION billing_check_usage() CASCADE;
DROP TYPE billing_uuidrange;
ALTER TABLE billing_invoiceitem DROP CONSTRAINT billing_item_amount_is_rounded_once;
DROP FUNCTION billing_round_half_even(numeric);
DROP FUNCTION billing_check_lines() CASCADE;
DROP FUNCTION billing_issued_document_stays() CASCADE;
DROP FUNCTION billing_issued_document_is_kept() CASCADE;
DROP FUNCTION billing_document_is_numbered_at_commit() CASCADE;
DROP TRIGGER billing_void_credit_note_stays ON billing_creditnote;
DROP FUNCTION billing_void_credit_note_stays();
DROP TRIGGER billing_invoice_begins ON billing_invoice;
DROP TRIGGER billing_invoice_state_follows ON billing_invoice;
DROP TRIGGER billing_credit_is_within_invoice ON billing_creditnote;
DROP TRIGGER billing_series_counts ON billing_invoiceseries;
DROP TRIGGER billing_number_issued ON billing_invoice;
DROP TRIGGER billing_number_issued ON billing_creditnote;
DROP FUNCTION billing_invoice_state_follows();
DROP FUNCTION billing_credit_is_within_invoice();
DROP FUNCTION billing_series_counts();
DROP FUNCTION billing_number_documents();
DROP FUNCTION billing_check_lines_of_invoices(uuid[]);
"""
