"""The functions used by row-level security, the trigger functions and the cache table."""

from django.db import migrations

# Roles belong to the cluster, and an administrator makes them (core/postgresql/roles.sql).
ROLES = """
DO $$
BEGIN
    IF (SELECT count(*) FROM pg_roles
        WHERE rolname IN ('nodebyte_customer', 'nodebyte_staff', 'nodebyte_worker')) < 3 THEN
        RAISE EXCEPTION 'The database roles are missing: see "The database" in docs/operations.md.';
    END IF;
END $$;
"""
# What core/tenancy/binding.py signs is verified here: HMAC-SHA256 by its definition (RFC 2104). The functions belong to
# the tables' owner, who alone may read the key. A binding that was not signed for this transaction is no binding.
FUNCTIONS = """
CREATE SCHEMA private;
REVOKE ALL ON SCHEMA private FROM PUBLIC;
CREATE TABLE private.binding_key (
    id smallint PRIMARY KEY CHECK (id = 1), inner_pad bytea NOT NULL, outer_pad bytea NOT NULL
);

CREATE FUNCTION app_bound(part integer) RETURNS text LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parts text[] := string_to_array(current_setting('app.binding', true), ':');  -- user, organizations, signature
    message bytea := convert_to(pg_backend_pid() || '.' || encode(timestamptz_send(transaction_timestamp()), 'hex')
        || ':' || parts[1] || ':' || parts[2], 'UTF8');
    is_signed boolean;
BEGIN
    SELECT encode(sha256(outer_pad || sha256(inner_pad || message)), 'hex') = parts[3]
    INTO is_signed FROM private.binding_key;
    RETURN CASE WHEN is_signed AND cardinality(parts) = 3 THEN nullif(parts[part], '') END;
END $$;

CREATE FUNCTION app_user() RETURNS uuid LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN app_bound(1)::uuid;

CREATE FUNCTION app_organizations() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN coalesce(string_to_array(app_bound(2), ',')::uuid[], '{}');

CREATE FUNCTION core_keep_updated_at() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$;

CREATE FUNCTION core_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE core_cache (cache_key varchar(255) PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL);
CREATE INDEX core_cache_expires ON core_cache (expires);
"""
UNDO = """
DROP TABLE core_cache;
DROP FUNCTION core_append_only() CASCADE;
DROP FUNCTION core_keep_updated_at() CASCADE;
DROP FUNCTION app_organizations() CASCADE;
DROP FUNCTION app_user() CASCADE;
DROP FUNCTION app_bound(integer) CASCADE;
DROP SCHEMA private CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [
        migrations.RunSQL(ROLES, migrations.RunSQL.noop),
        migrations.RunSQL(FUNCTIONS, UNDO),
    ]
