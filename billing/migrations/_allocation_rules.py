"""What the database enforces of payments and the invoices they pay."""

# A payment pays no more than it received, a paid invoice is the sum of its allocations, and no more of an allocation is
# taken back than there is. Checked at once and not at commit, so that money can be kept where paying with it fails. The
# locks make a concurrent check of the same rows wait; the services hold them already.
ALLOCATIONS = """
CREATE FUNCTION billing_check_allocations() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM FROM billing_invoice WHERE id IN (SELECT invoice_id FROM added) ORDER BY id FOR NO KEY UPDATE;
    PERFORM FROM billing_payment WHERE id IN (SELECT payment_id FROM added) ORDER BY id FOR NO KEY UPDATE;
    SELECT payment.id, payment.received_minor, sum(allocation.amount_minor) AS allocated INTO wrong
        FROM billing_payment payment JOIN billing_paymentallocation allocation ON allocation.payment_id = payment.id
        WHERE payment.id IN (SELECT payment_id FROM added)
        GROUP BY payment.id HAVING sum(allocation.amount_minor) > payment.received_minor LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payment % received % and pays %', wrong.id, wrong.received_minor, wrong.allocated
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT invoice.id, invoice.total_minor, sum(allocation.amount_minor) AS allocated INTO wrong
        FROM billing_invoice invoice JOIN billing_paymentallocation allocation ON allocation.invoice_id = invoice.id
        WHERE invoice.id IN (SELECT invoice_id FROM added)
        GROUP BY invoice.id HAVING sum(allocation.amount_minor) > invoice.total_minor LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invoice % is over % and paid with %', wrong.id, wrong.total_minor, wrong.allocated
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_check_allocations AFTER INSERT ON billing_paymentallocation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing_check_allocations();

CREATE FUNCTION billing_paid_invoice_is_its_allocations() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allocated bigint :=
        (SELECT coalesce(sum(amount_minor), 0) FROM billing_paymentallocation WHERE invoice_id = NEW.id);
BEGIN
    IF allocated <> NEW.total_minor THEN
        RAISE EXCEPTION 'invoice % is over % and paid with %', NEW.id, NEW.total_minor, allocated
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_paid_invoice_is_its_allocations AFTER INSERT OR UPDATE OF state ON billing_invoice
    FOR EACH ROW WHEN (NEW.state IN ('paid', 'refunded'))
    EXECUTE FUNCTION billing_paid_invoice_is_its_allocations();

CREATE FUNCTION billing_payment_covers_its_allocations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.received_minor < (SELECT sum(amount_minor) FROM billing_paymentallocation WHERE payment_id = NEW.id) THEN
        RAISE EXCEPTION 'payment % pays more than %', NEW.id, NEW.received_minor USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_payment_covers_its_allocations AFTER UPDATE OF received_minor ON billing_payment
    FOR EACH ROW WHEN (NEW.received_minor < OLD.received_minor)
    EXECUTE FUNCTION billing_payment_covers_its_allocations();

CREATE FUNCTION billing_check_reversals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM FROM billing_invoice WHERE id IN (SELECT invoice_id FROM billing_paymentallocation
        WHERE id IN (SELECT allocation_id FROM added)) ORDER BY id FOR NO KEY UPDATE;
    SELECT allocation.id, allocation.amount_minor, sum(reversal.amount_minor) AS reversed INTO wrong
        FROM billing_paymentallocation allocation
        JOIN billing_allocationreversal reversal ON reversal.allocation_id = allocation.id
        WHERE allocation.id IN (SELECT allocation_id FROM added) AND reversal.undone_at IS NULL
        GROUP BY allocation.id HAVING sum(reversal.amount_minor) > allocation.amount_minor LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'allocation % is over %, and % of it is taken back',
            wrong.id, wrong.amount_minor, wrong.reversed USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_check_new_reversals AFTER INSERT ON billing_allocationreversal
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing_check_reversals();
CREATE TRIGGER billing_check_changed_reversals AFTER UPDATE ON billing_allocationreversal
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing_check_reversals();
"""
UNDO = """
DROP TRIGGER billing_check_changed_reversals ON billing_allocationreversal;
DROP TRIGGER billing_check_new_reversals ON billing_allocationreversal;
DROP TRIGGER billing_payment_covers_its_allocations ON billing_payment;
DROP TRIGGER billing_paid_invoice_is_its_allocations ON billing_invoice;
DROP TRIGGER billing_check_allocations ON billing_paymentallocation;
DROP FUNCTION billing_check_reversals();
DROP FUNCTION billing_payment_covers_its_allocations();
DROP FUNCTION billing_paid_invoice_is_its_allocations();
DROP FUNCTION billing_check_allocations();
"""
