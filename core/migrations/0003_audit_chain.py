"""The hashes of the audit trail: an entry's own at insert, its link to the entries before it at commit, and the check.

A deferred trigger writes the link, because the chain's lock makes all other audited transactions wait. Taken at insert,
the lock would be held for the rest of the business transaction and could deadlock with its row locks. Taken at commit,
it is held only while committing.
"""

from django.db import migrations

# Every column, as one unambiguous text (a JSON array) that does not depend on the session's settings. Those that can be
# erased are in the digest, with a salt of 122 random bits, so that nobody finds out by trying what was erased.
ENTRY_HASH = """
CREATE FUNCTION core_audit_digest(entry core_auditentry) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(
        entry.salt, entry.old, entry.new, host(entry.ip), entry.user_agent, entry.message
    )::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION core_audit_entry_hash(entry core_auditentry) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(
        entry.id, entry.actor_id, entry.actor_label, entry.organization_id, entry.action, entry.entity_type,
        entry.entity_id, entry.outcome, entry.changed, entry.metadata, entry.digest,
        to_char(entry.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
    )::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION core_audit_hash_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.salt := gen_random_uuid();
    NEW.digest := core_audit_digest(NEW);
    NEW.hash := core_audit_entry_hash(NEW);
    RETURN NEW;
END $$;

CREATE FUNCTION core_audit_only_erase() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF num_nonnulls(NEW.old, NEW.new, NEW.ip, NEW.salt) > 0 OR NEW.user_agent <> '' OR NEW.message <> '' THEN
        RAISE EXCEPTION 'the details of an audit entry can only be erased' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER core_audit_only_erase BEFORE UPDATE ON core_auditentry
    FOR EACH ROW EXECUTE FUNCTION core_audit_only_erase();

CREATE TRIGGER core_audit_hash BEFORE INSERT ON core_auditentry
    FOR EACH ROW EXECUTE FUNCTION core_audit_hash_entry();
"""
# This needs READ COMMITTED: the statement after the lock sees the link that the previous holder committed.
CHAIN = """
CREATE FUNCTION core_audit_link_hash(pos bigint, entry bigint, entry_hash text, previous_hash text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(pos, entry, entry_hash, previous_hash)::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION core_audit_chain_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last_position bigint;
    last_hash text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('core_audit_chain'));
    SELECT position, hash INTO last_position, last_hash FROM core_auditlink ORDER BY position DESC LIMIT 1;
    last_position := coalesce(last_position, 0) + 1;
    last_hash := coalesce(last_hash, '');
    INSERT INTO core_auditlink (position, entry_id, entry_hash, previous_hash, hash) VALUES (
        last_position, NEW.id, NEW.hash, last_hash,
        core_audit_link_hash(last_position, NEW.id, NEW.hash, last_hash));
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER core_audit_chain AFTER INSERT ON core_auditentry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION core_audit_chain_entry();
"""
BREAKS = """
CREATE FUNCTION core_audit_breaks(from_id bigint, max_rows integer)
RETURNS TABLE (entry_id bigint, problem text, link_position bigint) LANGUAGE sql STABLE AS $$
    WITH chain AS (
        SELECT link.*, lag(link.position, 1, 0::bigint) OVER w AS before, lag(link.hash, 1, '') OVER w AS before_hash
        FROM core_auditlink link WINDOW w AS (ORDER BY link.position)
    ), erased AS (
        SELECT jsonb_array_elements_text(metadata -> 'erased')::bigint AS id
        FROM core_auditentry WHERE action = 'audit.erase'
    ), found AS (
        SELECT coalesce(entry.id, chain.entry_id) AS id, chain.position AS link_position, CASE
            WHEN entry.id IS NULL THEN 'deleted'
            WHEN chain.entry_id IS NULL THEN 'inserted'
            WHEN entry.hash <> core_audit_entry_hash(entry) OR entry.hash <> chain.entry_hash THEN 'edited'
            WHEN entry.salt IS NULL AND entry.id NOT IN (SELECT id FROM erased) THEN 'details missing'
            WHEN entry.salt IS NOT NULL AND entry.digest <> core_audit_digest(entry) THEN 'edited'
            WHEN chain.previous_hash <> chain.before_hash OR chain.position <> chain.before + 1
                OR chain.hash <> core_audit_link_hash(
                    chain.position, chain.entry_id, chain.entry_hash, chain.previous_hash) THEN 'unchained'
            END AS problem
        FROM chain FULL JOIN core_auditentry entry ON entry.id = chain.entry_id
    )
    SELECT id, problem, link_position FROM found WHERE problem IS NOT NULL AND id >= from_id ORDER BY id LIMIT max_rows
$$;
"""
UNDO = """
DROP FUNCTION core_audit_breaks(bigint, integer);
DROP TRIGGER core_audit_chain ON core_auditentry;
DROP TRIGGER core_audit_hash ON core_auditentry;
DROP FUNCTION core_audit_chain_entry();
DROP FUNCTION core_audit_link_hash(bigint, bigint, text, text);
DROP TRIGGER core_audit_only_erase ON core_auditentry;
DROP FUNCTION core_audit_only_erase();
DROP FUNCTION core_audit_hash_entry();
DROP FUNCTION core_audit_entry_hash(core_auditentry);
DROP FUNCTION core_audit_digest(core_auditentry);
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0002_roles_and_functions")]
    operations = [migrations.RunSQL([ENTRY_HASH, CHAIN, BREAKS], UNDO)]
