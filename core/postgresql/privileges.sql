-- The shop's database: what PostgreSQL gives everybody and a customer must not have. Run once as a superuser, in the
-- database, before the first migrate; again after every major upgrade of PostgreSQL. See docs/operations.md.
DO $$
DECLARE
    name text := current_database();
    item text;
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', name);  -- above all, temporary tables
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO nodebyte_owner, nodebyte_worker_login, nodebyte_customer_login', name);
    EXECUTE format('GRANT CREATE ON DATABASE %I TO nodebyte_owner', name);
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO nodebyte_worker', name);
    -- Files kept in the database, locks that make others wait, messages to workers, other sessions and their
    -- statements, what is counted of other tenants' tables, and functions that run a statement given as text.
    FOR item IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND (
            proname ~ '^(lo_|loread|lowrite|pg_advisory_|pg_try_advisory_|pg_stat_|pg_sleep|ts_stat)'
            OR proname ~ '(_to_xml|_to_xml_and_xmlschema|_to_xmlschema)$'
            OR proname IN (
                'pg_notify', 'pg_terminate_backend', 'pg_cancel_backend', 'pg_lock_status', 'pg_blocking_pids',
                'pg_safe_snapshot_blocking_pids', 'pg_logical_emit_message', 'pg_export_snapshot', 'pg_prepared_xact',
                'pg_notification_queue_usage', 'pg_get_replication_slots', 'pg_get_shmem_allocations',
                'pg_relation_size', 'pg_total_relation_size', 'pg_table_size', 'pg_indexes_size', 'pg_database_size'
            )
        )
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', item);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO nodebyte_owner, nodebyte_worker, pg_monitor', item);
    END LOOP;
    FOR item IN
        SELECT oid::regclass FROM pg_class
        WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'v'
            AND relname ~ '^pg_(stat|statio|stats|locks|prepared_xacts)'
    LOOP
        EXECUTE format('REVOKE SELECT ON %s FROM PUBLIC', item);
        EXECUTE format('GRANT SELECT ON %s TO nodebyte_owner, nodebyte_worker, pg_monitor', item);
    END LOOP;
END $$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO nodebyte_owner;
-- DO, and new functions; those that exist still run.
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO nodebyte_owner;
