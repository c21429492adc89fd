"""What the database enforces of facts once they are recorded: received payments, refunds, disputes, ledger accounts.

Foreign keys are checked at commit, so a row that is deleted and inserted again in one transaction would pass them: rows
that others build on are never deleted, nor do they get another id.
"""

# TG_ARGV[0] names the row, TG_ARGV[1] the columns that may change; a new column is frozen without being named.
STAYS = """
CREATE FUNCTION billing_recorded_row_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    free text[] := string_to_array(TG_ARGV[1], ',');
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a recorded % is never deleted', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
    ELSIF to_jsonb(NEW) - free <> to_jsonb(OLD) - free THEN
        RAISE EXCEPTION 'a recorded % does not change: only %', TG_ARGV[0], TG_ARGV[1]
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

-- An account's balance changes with every posting, so its rows are compared as such and not as JSON.
CREATE FUNCTION billing_account_stays() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept billing_ledgeraccount := NEW;
BEGIN
    kept.balance_minor := OLD.balance_minor;
    kept.promotional_minor := OLD.promotional_minor;
    kept.updated_at := OLD.updated_at;
    IF kept IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'a recorded ledger account does not change: only its balance'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_account_stays BEFORE UPDATE ON billing_ledgeraccount
    FOR EACH ROW EXECUTE FUNCTION billing_account_stays();
CREATE TRIGGER billing_account_is_kept BEFORE DELETE ON billing_ledgeraccount
    FOR EACH ROW EXECUTE FUNCTION billing_recorded_row_stays('ledger account', '');
CREATE TRIGGER billing_grant_stays BEFORE UPDATE OR DELETE ON billing_creditgrant
    FOR EACH ROW EXECUTE FUNCTION billing_recorded_row_stays('credit grant', 'remaining_minor,expires_at,updated_at');
CREATE TRIGGER billing_used_series_stays BEFORE DELETE ON billing_invoiceseries
    FOR EACH ROW WHEN (OLD.last_issued_at IS NOT NULL) EXECUTE FUNCTION billing_recorded_row_stays('series');
CREATE TRIGGER billing_dispute_stays BEFORE UPDATE OR DELETE ON billing_dispute
    FOR EACH ROW EXECUTE FUNCTION billing_recorded_row_stays(
        'dispute', 'closed_at,is_won,lost_minor,evidence_due_at,updated_at'
    );
"""
# What arrived stays as it arrived; what became of it since is in the state and in the sums of refunds and losses.
PAYMENTS = """
CREATE TRIGGER billing_received_payment_stays BEFORE UPDATE OR DELETE ON billing_payment
    FOR EACH ROW WHEN (OLD.state IN ('succeeded', 'under_review', 'refunded', 'disputed'))
    EXECUTE FUNCTION billing_recorded_row_stays(
        'payment', 'state,refunded_minor,lost_minor,accepted_at,failure,poll_at,session_url,updated_at'
    );
CREATE TRIGGER billing_received_payment_stays_received BEFORE UPDATE ON billing_payment
    FOR EACH ROW WHEN (OLD.state IN ('succeeded', 'under_review', 'refunded', 'disputed')
        AND NEW.state NOT IN ('succeeded', 'under_review', 'refunded', 'disputed'))
    EXECUTE FUNCTION billing_recorded_row_stays('payment', 'updated_at');
"""
# The refunds of a payment that did not fail are no more than it received. One that failed remains so: its money is here
# again, and may have been spent. The lock makes a second refund wait for the first.
REFUNDS = """
CREATE TRIGGER billing_refund_stays BEFORE UPDATE OR DELETE ON billing_refund
    FOR EACH ROW EXECUTE FUNCTION billing_recorded_row_stays(
        'refund', 'state,failure,settled_at,transaction_id,idempotency_key,updated_at'
    );
CREATE TRIGGER billing_decided_refund_stays BEFORE UPDATE ON billing_refund
    FOR EACH ROW WHEN ((OLD.state = 'failed' AND NEW.state <> 'failed')
        OR (OLD.transaction_id IS NOT NULL AND NEW.transaction_id IS DISTINCT FROM OLD.transaction_id))
    EXECUTE FUNCTION billing_recorded_row_stays('refund', 'updated_at');

CREATE FUNCTION billing_check_refunds() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM FROM billing_payment WHERE id IN (SELECT payment_id FROM added) ORDER BY id FOR NO KEY UPDATE;
    SELECT payment.id, payment.received_minor, sum(refund.amount_minor) AS refunded INTO wrong
        FROM billing_payment payment JOIN billing_refund refund ON refund.payment_id = payment.id
        WHERE payment.id IN (SELECT payment_id FROM added) AND refund.state <> 'failed'
        GROUP BY payment.id HAVING sum(refund.amount_minor) > payment.received_minor LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payment % received % and % is refunded', wrong.id, wrong.received_minor, wrong.refunded
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_check_refunds AFTER INSERT ON billing_refund
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION billing_check_refunds();
"""
# A reversal changes once: when it is undone.
REVERSALS = """
CREATE TRIGGER billing_reversal_stays BEFORE UPDATE OR DELETE ON billing_allocationreversal
    FOR EACH ROW EXECUTE FUNCTION billing_recorded_row_stays('allocation reversal', 'undone_at,updated_at');
CREATE TRIGGER billing_undone_reversal_stays BEFORE UPDATE ON billing_allocationreversal
    FOR EACH ROW WHEN (OLD.undone_at IS NOT NULL)
    EXECUTE FUNCTION billing_recorded_row_stays('allocation reversal', '');
"""
RULES = STAYS + PAYMENTS + REFUNDS + REVERSALS
UNDO = """
DROP TRIGGER billing_undone_reversal_stays ON billing_allocationreversal;
DROP TRIGGER billing_reversal_stays ON billing_allocationreversal;
DROP TRIGGER billing_check_refunds ON billing_refund;
DROP FUNCTION billing_check_refunds();
DROP TRIGGER billing_decided_refund_stays ON billing_refund;
DROP TRIGGER billing_refund_stays ON billing_refund;
DROP TRIGGER billing_received_payment_stays_received ON billing_payment;
DROP TRIGGER billing_received_payment_stays ON billing_payment;
DROP TRIGGER billing_dispute_stays ON billing_dispute;
DROP TRIGGER billing_used_series_stays ON billing_invoiceseries;
DROP TRIGGER billing_grant_stays ON billing_creditgrant;
DROP TRIGGER billing_account_is_kept ON billing_ledgeraccount;
DROP FUNCTION billing_account_stays() CASCADE;
DROP FUNCTION billing_recorded_row_stays();
"""
