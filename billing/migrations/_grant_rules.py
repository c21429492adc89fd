"""What the database keeps of promotional credit: grants and wallets follow the account's postings."""

# The wallet's row says what can be spent beside it, so that who locks and reads the wallet knows both. While its
# organization owes, that is nothing, whoever would spend it. Of the grants, what is spent or expires is taken from the
# one that expires first; what comes back goes to the one that expires last.
FOLLOWED = """
CREATE FUNCTION billing_follow_promotional_credit(account_ids uuid[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    UPDATE billing_ledgeraccount wallet SET promotional_minor = CASE WHEN EXISTS (
            SELECT FROM billing_ledgeraccount owed WHERE owed.kind = 'receivable' AND owed.balance_minor < 0
                AND (owed.organization_id, owed.currency) = (account.organization_id, account.currency))
            THEN 0 ELSE account.balance_minor END
        FROM billing_ledgeraccount account
        WHERE account.id = ANY (account_ids) AND wallet.kind = 'wallet' AND wallet.gateway = ''
            AND (wallet.organization_id, wallet.currency) = (account.organization_id, account.currency);
    UPDATE billing_creditgrant stored SET remaining_minor = stored.remaining_minor + split.minor
        FROM (SELECT given.id, CASE WHEN off.minor < 0
                THEN -least(given.left_minor, greatest(-off.minor - sum(given.left_minor) OVER first
                    + given.left_minor, 0))
                ELSE least(given.spent_minor, greatest(off.minor - sum(given.spent_minor) OVER last
                    + given.spent_minor, 0)) END AS minor
            FROM (SELECT account.organization_id, account.currency, account.balance_minor - coalesce((
                    SELECT sum(remaining_minor) FROM billing_creditgrant given
                    WHERE given.organization_id = account.organization_id AND given.currency = account.currency
                        AND given.kind = 'promotional_credit'), 0) AS minor
                FROM billing_ledgeraccount account WHERE account.id = ANY (account_ids)) off
            JOIN (SELECT id, organization_id, currency, expires_at, remaining_minor AS left_minor,
                    amount_minor - remaining_minor AS spent_minor
                FROM billing_creditgrant WHERE kind = 'promotional_credit') given USING (organization_id, currency)
            WHERE off.minor <> 0
            WINDOW first AS (PARTITION BY organization_id, currency ORDER BY expires_at NULLS LAST, id),
                last AS (PARTITION BY organization_id, currency ORDER BY expires_at DESC NULLS FIRST, id DESC)) split
        WHERE stored.id = split.id AND split.minor <> 0;
    SELECT account.organization_id, account.balance_minor INTO wrong FROM billing_ledgeraccount account
        WHERE account.id = ANY (account_ids) AND account.balance_minor <> coalesce((
            SELECT sum(remaining_minor) FROM billing_creditgrant given
            WHERE given.organization_id = account.organization_id AND given.currency = account.currency
                AND given.kind = 'promotional_credit'), 0) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'promotional credit of % is %, and its grants are not',
            wrong.organization_id, wrong.balance_minor USING ERRCODE = 'check_violation';
    END IF;
END $$;
"""
# A grant is there whole or not at all, it is posted in the transaction that writes it, and only postings move it.
GRANTED = """
CREATE FUNCTION billing_grant_follows_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.kind = 'promotional_credit' AND NEW.remaining_minor <> NEW.amount_minor THEN
            RAISE EXCEPTION 'a grant begins whole' USING ERRCODE = 'check_violation';
        END IF;
    ELSIF NEW.remaining_minor <> OLD.remaining_minor AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'what is left of a grant moves by postings only' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER billing_grant_follows_postings BEFORE INSERT OR UPDATE ON billing_creditgrant
    FOR EACH ROW EXECUTE FUNCTION billing_grant_follows_postings();

CREATE FUNCTION billing_grant_is_posted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.amount_minor <> coalesce((SELECT sum(posting.amount_minor) FROM billing_journalentry entry
            JOIN billing_posting posting ON posting.entry_id = entry.id
            WHERE entry.creditgrant_id = NEW.id AND entry.kind = 'credit_granted'
                AND posting.organization_id IS NOT NULL), 0) THEN
        RAISE EXCEPTION 'credit grant % is not posted', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER billing_grant_is_posted AFTER INSERT ON billing_creditgrant
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_grant_is_posted();
"""
RULES = FOLLOWED + GRANTED
UNDO = """
DROP TRIGGER billing_grant_is_posted ON billing_creditgrant;
DROP TRIGGER billing_grant_follows_postings ON billing_creditgrant;
DROP FUNCTION billing_grant_is_posted();
DROP FUNCTION billing_grant_follows_postings();
DROP FUNCTION billing_follow_promotional_credit(uuid[]);
"""
