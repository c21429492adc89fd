"""What the database enforces of payments and the invoices they pay."""

# Only an issued invoice that waits for money is paid. A payment pays no more than it received and kept, a paid invoice
# is the sum of its allocations, nothing is left of a refunded one, and no more of an allocation is taken back than it
# is over. Checked at once and not at commit, so that money can be kept where paying with it fails. The locks make a
# concurrent check of the same rows wait; the services hold them already.
ALLOCATIONS = """
CREATE FUNCTION billing_overspent_payments(payment_ids uuid[]) RETURNS TABLE (id uuid, kept bigint, pays numeric)
LANGUAGE sql STABLE AS $$
    SELECT payment.id, payment.received_minor - payment.refunded_minor - payment.lost_minor, open.pays
    FROM billing_payment payment JOIN (
        SELECT payment_id, sum(allocation.amount_minor - coalesce((SELECT sum(reversal.amount_minor)
            FROM billing_allocationreversal reversal
            WHERE reversal.allocation_id = allocation.id AND reversal.undone_at IS NULL), 0)) AS pays
        FROM billing_paymentallocation allocation WHERE payment_id = ANY (payment_ids) GROUP BY payment_id
    ) open ON open.payment_id = payment.id
    WHERE open.pays > payment.received_minor - payment.refunded_minor - payment.lost_minor
$$;

CREATE FUNCTION billing_left_of_invoice(of_invoice uuid) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(allocation.amount_minor - coalesce((SELECT sum(reversal.amount_minor)
        FROM billing_allocationreversal reversal
        WHERE reversal.allocation_id = allocation.id AND reversal.undone_at IS NULL), 0)), 0)
    FROM billing_paymentallocation allocation WHERE allocation.invoice_id = of_invoice
$$;

CREATE FUNCTION billing_check_allocations() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM FROM billing_invoice WHERE id IN (SELECT invoice_id FROM added) ORDER BY id FOR NO KEY UPDATE;
    PERFORM FROM billing_payment WHERE id IN (SELECT payment_id FROM added) ORDER BY id FOR NO KEY UPDATE;
    SELECT invoice.id, invoice.state INTO wrong FROM billing_invoice invoice
        WHERE invoice.id IN (SELECT invoice_id FROM added) AND invoice.state NOT IN ('open', 'overdue') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invoice % that is % is paid', wrong.id, wrong.state USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM billing_payment WHERE id IN (SELECT payment_id FROM added)
            AND state NOT IN ('succeeded', 'under_review', 'refunded', 'disputed')) THEN
        RAISE EXCEPTION 'an invoice is paid with a payment that did not arrive' USING ERRCODE = 'check_violation';
    END IF;
    SELECT payment.id, payment.received_minor, sum(allocation.amount_minor) AS allocated INTO wrong
        FROM billing_payment payment JOIN billing_paymentallocation allocation ON allocation.payment_id = payment.id
        WHERE payment.id IN (SELECT payment_id FROM added)
        GROUP BY payment.id HAVING sum(allocation.amount_minor) > payment.received_minor LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payment % received % and pays %', wrong.id, wrong.received_minor, wrong.allocated
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO wrong FROM billing_overspent_payments((SELECT array_agg(payment_id) FROM added)) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payment % kept % and pays %', wrong.id, wrong.kept, wrong.pays
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
    ELSIF NEW.state = 'refunded' AND billing_left_of_invoice(NEW.id) > 0 THEN
        RAISE EXCEPTION 'invoice % is refunded and % of it is left', NEW.id, billing_left_of_invoice(NEW.id)
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_paid_invoice_is_its_allocations AFTER INSERT OR UPDATE OF state ON billing_invoice
    FOR EACH ROW WHEN (NEW.state IN ('paid', 'refunded'))
    EXECUTE FUNCTION billing_paid_invoice_is_its_allocations();

CREATE FUNCTION billing_paid_invoice_is_not_void() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM billing_paymentallocation WHERE invoice_id = NEW.id) THEN
        RAISE EXCEPTION 'invoice % is paid and cannot be void', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_paid_invoice_is_not_void AFTER UPDATE OF state ON billing_invoice
    FOR EACH ROW WHEN (NEW.state = 'void') EXECUTE FUNCTION billing_paid_invoice_is_not_void();

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
# What is undone is there again: its payment kept it, and its invoice is not refunded. What was refunded and lost of a
# payment is what its refunds and disputes say. At commit, because several rows of one act change for it.
TAKEN_BACK = """
CREATE FUNCTION billing_check_undone_reversal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allocation billing_paymentallocation;
    wrong record;
BEGIN
    SELECT * INTO allocation FROM billing_paymentallocation WHERE id = NEW.allocation_id;
    SELECT * INTO wrong FROM billing_overspent_payments(ARRAY[allocation.payment_id]) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payment % kept % and pays %', wrong.id, wrong.kept, wrong.pays
            USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM billing_invoice WHERE id = allocation.invoice_id AND state = 'refunded')
            AND billing_left_of_invoice(allocation.invoice_id) > 0 THEN
        RAISE EXCEPTION 'invoice % is refunded and % of it is left', allocation.invoice_id,
            billing_left_of_invoice(allocation.invoice_id) USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_check_undone_reversal AFTER UPDATE OF undone_at ON billing_allocationreversal
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_undone_reversal();

CREATE FUNCTION billing_check_taken_back() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of_payment uuid := CASE WHEN TG_TABLE_NAME = 'billing_payment' THEN to_jsonb(NEW) ->> 'id'
        ELSE to_jsonb(NEW) ->> 'payment_id' END;
    wrong record;
BEGIN
    SELECT id, refunded_minor, lost_minor,
        (SELECT coalesce(sum(amount_minor), 0) FROM billing_refund WHERE payment_id = of_payment AND state <> 'failed')
            AS refunds,
        (SELECT coalesce(sum(lost_minor), 0) FROM billing_dispute WHERE payment_id = of_payment) AS losses
        INTO wrong FROM billing_payment WHERE id = of_payment;
    IF (wrong.refunds, wrong.losses) <> (wrong.refunded_minor, wrong.lost_minor) THEN
        RAISE EXCEPTION 'payment % was refunded % and says %, lost % to disputes and says %', wrong.id,
            wrong.refunds, wrong.refunded_minor, wrong.losses, wrong.lost_minor USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_check_taken_back AFTER UPDATE OF refunded_minor, lost_minor ON billing_payment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_taken_back();
CREATE CONSTRAINT TRIGGER billing_check_taken_back AFTER INSERT OR UPDATE OF state ON billing_refund
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_taken_back();
CREATE CONSTRAINT TRIGGER billing_check_taken_back AFTER INSERT OR UPDATE OF lost_minor ON billing_dispute
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_check_taken_back();
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
RULES = ALLOCATIONS + TAKEN_BACK + RESERVED_CREDIT
UNDO = """
DROP TRIGGER billing_check_reserved_credit ON billing_payment;
DROP FUNCTION billing_check_reserved_credit();
DROP TRIGGER billing_check_taken_back ON billing_payment;
DROP TRIGGER billing_check_taken_back ON billing_refund;
DROP TRIGGER billing_check_taken_back ON billing_dispute;
DROP FUNCTION billing_check_taken_back();
DROP TRIGGER billing_check_undone_reversal ON billing_allocationreversal;
DROP FUNCTION billing_check_undone_reversal();
DROP TRIGGER billing_paid_invoice_is_not_void ON billing_invoice;
DROP FUNCTION billing_paid_invoice_is_not_void();
DROP TRIGGER billing_check_reversals ON billing_allocationreversal;
DROP TRIGGER billing_paid_invoice_is_its_allocations ON billing_invoice;
DROP TRIGGER billing_check_allocations ON billing_paymentallocation;
DROP FUNCTION billing_check_reversals();
DROP FUNCTION billing_paid_invoice_is_its_allocations();
DROP FUNCTION billing_check_allocations();
DROP FUNCTION billing_left_of_invoice(uuid);
DROP FUNCTION billing_overspent_payments(uuid[]);
"""
