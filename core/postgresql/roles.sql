-- The cluster's part of the set-up, run once as a superuser. See "The database" in docs/operations.md.
-- Three roles without login hold the rights; three logins use them, and none of these is a superuser.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['nodebyte_customer', 'nodebyte_staff', 'nodebyte_worker'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
    FOREACH name IN ARRAY ARRAY['nodebyte_owner', 'nodebyte_worker_login', 'nodebyte_customer_login'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
END $$;
GRANT nodebyte_worker TO nodebyte_worker_login WITH INHERIT TRUE, SET TRUE;
GRANT nodebyte_staff TO nodebyte_worker_login WITH INHERIT FALSE, SET TRUE;
GRANT nodebyte_customer TO nodebyte_customer_login WITH INHERIT TRUE, SET FALSE;
-- All customers share this login, and a role sees the running statements of its own other sessions.
ALTER ROLE nodebyte_customer_login RESET ALL;
ALTER ROLE nodebyte_customer_login SET track_activities = off;
ALTER ROLE nodebyte_customer_login SET statement_timeout = '15s';
ALTER ROLE nodebyte_customer_login SET idle_in_transaction_session_timeout = '60s';
