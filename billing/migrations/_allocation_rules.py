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
    IF EXISTS (SELECT FROM added JOIN billing_paymentallocation allocation ON allocation.id = added.allocation_id
        LEFT JOIN billing_refund refund ON refund.id = added.refund_id
        LEFT JOIN billing_dispute dispute ON dispute.id = added.dispute_id
        WHERE coalesce(refund.payment_id, dispute.payment_id) IS DISTINCT FROM allocation.payment_id
            AND (added.refund_id, added.dispute_id) IS DISTINCT FROM (NULL, NULL)) THEN
        RAISE EXCEPTION 'a refund or dispute takes back what is of another payment' USING ERRCODE = 'check_violation';
    END IF;
    SELECT refund.id, refund.amount_minor, sum(reversal.amount_minor) AS reversed INTO wrong
        FROM billing_refund refund JOIN billing_allocationreversal reversal ON reversal.refund_id = refund.id
        WHERE refund.id IN (SELECT refund_id FROM added)
        GROUP BY refund.id HAVING sum(reversal.amount_minor) > refund.amount_minor LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'refund % is over % and takes back %, more than it is',
            wrong.id, wrong.amount_minor, wrong.reversed USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_check_reversals AFTER INSERT ON billing_allocationreversal
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing_check_reversals();
"""
# An open payment has reserved the credit that it counts on, and one that is over has released it.
RESERVED_CREDIT = """
CREATE FUNCTION billing_check_reserved_credit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint := (SELECT CASE WHEN state IN ('pending', 'processing') THEN credit_minor ELSE 0 END
        FROM billing_payment WHERE id = NEW.id);
    reserved bigint := (SELECT coalesce(sum(posting.amount_minor), 0) FROM billing_journalentry entry
        JOIN billing_posting posting ON posting.entry_id = entry.id
        JOIN billing_ledgeraccount account ON account.id = posting.account_id
        WHERE entry.payment_id = NEW.id AND account.kind = 'reserved_credit');
BEGIN
    IF reserved <> wanted THEN
        RAISE EXCEPTION 'payment % has reserved % and counts on %', NEW.id, reserved, wanted
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_check_reserved_credit AFTER INSERT OR UPDATE OF state, credit_minor ON billing_payment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.credit_minor > 0)
    EXECUTE FUNCTION billing_check_reserved_credit();
"""
RULES = ALLOCATIONS + RESERVED_CREDIT
UNDO = """
DROP TRIGGER billing_check_reserved_credit ON billing_payment;
DROP FUNCTION billing_check_reserved_credit();
DROP TRIGGER billing_check_reversals ON billing_allocationreversal;
DROP TRIGGER billing_paid_invoice_is_its_allocations ON billing_invoice;
DROP TRIGGER billing_check_allocations ON billing_paymentallocation;
DROP FUNCTION billing_check_reversals();
DROP FUNCTION billing_paid_invoice_is_its_allocations();
DROP FUNCTION billing_check_allocations();
"""
