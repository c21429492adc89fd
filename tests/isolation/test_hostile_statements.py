"""Whatever statement a customer's page is made to run: nothing of another tenant is read, changed or executed.

The statements run on the customers' real login of PostgreSQL: first as a page would run them, then on a bare connection
as if the shop's own cursor had refused none, where the database alone decides. Two run in a row on one connection.
"""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import Error as DatabaseError
from django.db import connection, connections
from django.db.models import Q

from accounts.models import User
from catalog.models import Plan
from core import schema, tenancy
from core.postgresql import logins
from core.tenancy.declarations import hidden_columns, tenancy_of
from servers.models import Allocation
from tests.isolation.tenants import Tenant, make_dataset, make_tenant
from tests.processes import database_url

pytestmark = pytest.mark.django_db(transaction=True)
MARK = "bob91c"  # in every text of the other tenant
FILE = "/tmp/nodebyte-hostile"  # noqa: S108 - nothing may ever write it
OTHERS = "SELECT email, password FROM accounts_user"
# Each tries to read another tenant's rows or secrets. {user} and {organization} are the other tenant's.
READING = [
    OTHERS,
    "SELECT u.*, set_config('role', 'nodebyte_worker', false) FROM accounts_user u",
    "SELECT set_config('role', 'nodebyte_worker', true)",
    "SELECT set_config('role', 'postgres', true)",
    "SELECT set_config('session_authorization', 'postgres', false)",
    "WITH x AS (SELECT set_config('app.binding', '{user}:{organization}:', true)) SELECT email FROM accounts_user, x",
    "SELECT set_config('app.binding', '{user}:{organization}:' || repeat('0', 64), false), email FROM accounts_user",
    "SELECT set_config('app.binding', '{stolen}', false), email FROM accounts_user",
    "SELECT set_config('app.organizations', '{organization}', false), name FROM accounts_organization",
    "SELECT set_config('row_security', 'off', false), email FROM accounts_user",
    "SELECT set_config('search_path', 'migrated,private,public', false), email FROM accounts_user",
    "SELECT email FROM migrated.accounts_user",
    "SELECT * FROM private.binding_key",
    "SELECT app_bound(1), app_bound(2), app_bound(3), current_setting('app.binding', true)",
    "SELECT password FROM accounts_user WHERE id = app_user()",
    "SELECT to_jsonb(u) FROM accounts_user u",
    "SELECT session_url FROM billing_payment",
    "SELECT credentials FROM servers_provider",
    "SELECT session_key, session_data FROM django_session",
    "SELECT body FROM support_delivery",
    "SELECT value FROM core_cache",
    "TABLE accounts_user",
    "COPY accounts_user TO STDOUT",
    "COPY (SELECT email FROM accounts_user) TO STDOUT",
    "SELECT * FROM orders_order FOR UPDATE",
    "SELECT query FROM pg_stat_activity",
    "SELECT pg_stat_get_activity(NULL)",
    "SELECT pg_stat_get_backend_activity(pid) FROM generate_series(1, 99999) AS pid",
    "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE tablename = 'accounts_user'",
    "SELECT stavalues1::text FROM pg_statistic",
    "SELECT rolname, rolpassword FROM pg_authid",
    "SELECT usename, passwd FROM pg_shadow",
    "SELECT * FROM pg_locks",
    "SELECT * FROM pg_stat_user_tables",
    "SELECT query_to_xml('SELECT email FROM accounts_user', true, true, '')",
    "SELECT database_to_xml(true, true, '')",
    "SELECT ts_stat('SELECT to_tsvector(email) FROM accounts_user')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('PG_VERSION')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_get(oid) FROM pg_largeobject_metadata",
    "SELECT dblink('dbname=postgres', 'SELECT 1')",
    "SELECT email FROM accounts_user WHERE 1 / (CASE WHEN email LIKE '%{mark}%' THEN 0 ELSE 1 END) = 1",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT email FROM accounts_user",
    "DECLARE kept CURSOR WITH HOLD FOR SELECT email FROM accounts_user",
    "FETCH ALL FROM kept",
    "EXECUTE prepared",
    "SET SESSION AUTHORIZATION postgres",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET ROLE nodebyte_owner",
    "SET ROLE nodebyte_worker_login",
    "SET ROLE nodebyte_staff",
    "SET ROLE NONE",
    "RESET ROLE",
    "RESET ALL",
    "DISCARD ALL",
]
# Each tries to change or execute something.
CHANGING = [
    "UPDATE accounts_user SET is_superuser = true",
    "DELETE FROM orders_order",
    "TRUNCATE core_cache",
    "INSERT INTO core_cache VALUES ('a', 'b', now())",
    "INSERT INTO private.binding_key VALUES (1, '', '') ON CONFLICT (id) DO UPDATE SET inner_pad = ''",
    "WITH gone AS (DELETE FROM orders_order RETURNING *) SELECT count(*) FROM gone",
    "MERGE INTO core_cache c USING (SELECT 1) s ON false WHEN NOT MATCHED THEN INSERT VALUES ('a', 'b', now())",
    "SELECT * INTO stolen FROM accounts_user",
    "CREATE TABLE mine (id int)",
    "CREATE TEMP TABLE accounts_user (email text)",
    "CREATE SCHEMA nodebyte_customer_login",
    "CREATE FUNCTION public.evil() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.app_user() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
    "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = bytea, FUNCTION = int4eq)",
    "CREATE OR REPLACE FUNCTION app_user() RETURNS uuid LANGUAGE sql AS 'SELECT ''{user}''::uuid'",
    "CREATE EXTENSION dblink",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE ROLE me SUPERUSER",
    "GRANT nodebyte_worker TO nodebyte_customer_login",
    "ALTER ROLE nodebyte_customer_login SUPERUSER",
    "ALTER ROLE nodebyte_worker_login PASSWORD 'x'",
    "ALTER TABLE accounts_user DISABLE ROW LEVEL SECURITY",
    "ALTER SYSTEM SET shared_preload_libraries = 'x'",
    "DROP POLICY tenant ON orders_order",
    "DROP TABLE core_cache",
    "DROP OWNED BY nodebyte_worker",
    "REASSIGN OWNED BY nodebyte_owner TO CURRENT_USER",
    "DO $$ BEGIN DELETE FROM orders_order; END $$",
    "DO $$ BEGIN PERFORM 1; END $$",
    "CALL app_user()",
    f"COPY (SELECT 1) TO '{FILE}'",
    f"COPY (SELECT 1) TO PROGRAM 'touch {FILE}'",
    f"COPY core_cache FROM PROGRAM 'touch {FILE}'",
    f"SELECT lo_export(lo_from_bytea(0, 'x'), '{FILE}')",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_creat(-1)",
    "SELECT lo_unlink(1)",
    "LOAD 'plpgsql'",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT pg_cancel_backend(pg_backend_pid())",
    "SELECT pg_reload_conf()",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_try_advisory_lock(1)",
    "SELECT pg_notify('tasks', 'x')",
    "SELECT pg_logical_emit_message(false, 'x', 'x')",
    "SELECT pg_create_restore_point('x')",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT pg_sleep(60)",
    "SELECT setval('core_auditentry_id_seq', 1)",
    "SELECT nextval('core_auditentry_id_seq')",
    "BEGIN; LOCK TABLE accounts_user IN ACCESS EXCLUSIVE MODE",
    "BEGIN; LOCK TABLE accounts_user",
    "CHECKPOINT",
    "BEGIN; PREPARE TRANSACTION 'x'",
    "COMMENT ON TABLE accounts_user IS 'x'",
    "SECURITY LABEL ON TABLE accounts_user IS 'x'",
    "EXPLAIN ANALYZE DELETE FROM orders_order",
]
# What PostgreSQL lets every login do, so that only the cursor of a customer's connection refuses it.
REFUSED_BY_THE_CURSOR = [
    "ALTER ROLE CURRENT_USER PASSWORD 'x'",
    "ALTER ROLE CURRENT_USER SET search_path = 'nowhere'",
    "ALTER ROLE CURRENT_USER SET statement_timeout = 0",
    "NOTIFY tasks",
    "LISTEN tasks",
    "PREPARE kept AS SELECT 1",
    "SET statement_timeout = 0",
    "SET search_path = pg_temp",
    "SET app.binding = ''",
    "COMMIT",
    "ROLLBACK",
    "BEGIN",
    "SELECT 1; SELECT 2",
    "SELECT 1; RESET ROLE",
    "SELECT 1; COMMIT; SET ROLE nodebyte_worker; " + OTHERS,
    "/* SELECT */ RESET ROLE",
    "-- SELECT\nRESET ROLE",
    "SELECT 1 /* ; */; COPY (SELECT 1) TO STDOUT",
]


@pytest.fixture
def tenants(transactional_db: None) -> tuple[Tenant, Tenant]:
    """The attacker and the other tenant."""
    dataset = make_dataset()
    return make_tenant(dataset, "ada7f3"), make_tenant(dataset, MARK)


def as_attacker(tenant: Tenant) -> Any:
    return tenancy.as_role(role=tenancy.CUSTOMER, user_id=tenant.user.pk, organizations=[tenant.organization.pk])


def stolen_binding(of: Tenant) -> str:
    """The other tenant's binding, taken from a transaction of theirs that is over."""
    with as_attacker(of), connections["customer"].cursor() as cursor:
        cursor.execute("SELECT current_setting('app.binding')")
        return str(cursor.fetchone()[0])


def filled(statement: str, victim: Tenant, stolen: str) -> str:
    values = {"user": victim.user.pk, "organization": victim.organization.pk, "mark": MARK, "stolen": stolen}
    for name, value in values.items():
        statement = statement.replace(f"{{{name}}}", str(value))
    return statement


def run(execute: Callable[[str], Any], statement: str) -> str:
    """What the statement reveals: its rows, or its error."""
    try:
        return str(execute(statement))
    except (DatabaseError, psycopg.Error) as error:
        return str(error)


def execute_on_page(statement: str) -> Any:
    with connections["customer"].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def every_row() -> dict[str, tuple[int, str]]:
    """How many rows each table has, and a sum of all of them; and the roles, functions and policies that there are."""
    tables = [f'public."{model._meta.db_table}"' for model in schema.own_models()] + ["core_cache"]
    tables += ["private.binding_key", "pg_proc", "pg_policy", "pg_auth_members", "pg_largeobject_metadata"]
    tables += ["pg_namespace", "pg_db_role_setting", "pg_authid", "pg_operator"]
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        found = {}
        for table in tables:
            cursor.execute(f"SELECT count(*), coalesce(sum(hashtext(t::text)), 0)::text FROM {table} AS t")
            found[table] = cursor.fetchone()
        cursor.execute("SET ROLE nodebyte_worker")
    return found


def assert_reveals_nothing(statement: str, revealed: str, victim: Tenant) -> None:
    password = User.objects.get(pk=victim.user.pk).password
    assert MARK not in revealed.replace(statement, ""), statement
    assert f"%{MARK}%" not in revealed
    assert password not in revealed, statement


@pytest.mark.usefixtures("pooled")
def test_no_statement_in_a_page_reads_or_changes_anything_of_another_tenant(tenants: tuple[Tenant, Tenant]) -> None:
    attacker, victim = tenants
    stolen, before = stolen_binding(victim), every_row()
    for statement in READING + CHANGING + REFUSED_BY_THE_CURSOR:
        for following in (None, OTHERS):
            revealed = ""
            with contextlib.suppress(DatabaseError, psycopg.Error), as_attacker(attacker):
                revealed = run(execute_on_page, filled(statement, victim, stolen))
                if following:
                    revealed += run(execute_on_page, "SELECT email FROM accounts_user")
            connections["customer"].close()  # back to the pool, from which the next request takes it
            assert_reveals_nothing(filled(statement, victim, stolen), revealed, victim)
            with as_attacker(attacker):
                assert list(User.objects.values_list("email", flat=True)) == [attacker.user.email], statement
            connections["customer"].close()
    assert every_row() == before
    assert not Path(FILE).exists()


def test_without_the_shops_cursor_the_database_refuses_them_by_itself(tenants: tuple[Tenant, Tenant]) -> None:
    attacker, victim = tenants
    stolen, before, allowed = stolen_binding(victim), every_row(), list[str]()
    for statement in READING + CHANGING:
        text = filled(statement, victim, stolen)
        with bare_connection() as bare:
            revealed = run(lambda text: fetched(bare, text), text)
            if not bare.closed:
                revealed += run(lambda text: fetched(bare, text), "SELECT email FROM accounts_user")
        if statement in CHANGING and revealed.startswith(("None", "[")):
            allowed.append(statement)
        assert_reveals_nothing(text, revealed, victim)
        assert attacker.user.email not in revealed, statement
    assert allowed == []
    assert every_row() == before
    assert not Path(FILE).exists()


def test_no_table_read_as_a_whole_shows_another_tenant(tenants: tuple[Tenant, Tenant]) -> None:
    attacker, victim = tenants
    for table in [model._meta.db_table for model in schema.own_models()]:
        statement, revealed = f'SELECT t::text FROM "{table}" AS t', ""
        with contextlib.suppress(DatabaseError, psycopg.Error), as_attacker(attacker):
            revealed = run(execute_on_page, statement)
        assert_reveals_nothing(statement, revealed, victim)
        keys = {str(row.pk) for row in vars(victim).values() if hasattr(row, "pk")}
        assert not keys & set(re.findall(r"[0-9a-f-]{36}", revealed)), table


def test_a_customer_sees_the_ports_that_are_free_and_their_own_and_nobody_elses(tenants: tuple[Tenant, Tenant]) -> None:
    attacker, victim = tenants
    free, own, others = (
        {str(pk) for pk in Allocation.objects.filter(condition).values_list("pk", flat=True)}
        for condition in (
            Q(reservation=None),
            Q(reservation__organization=attacker.organization),
            Q(reservation__organization=victim.organization),
        )
    )
    assert free
    assert own
    assert others

    with as_attacker(attacker):
        assert {str(pk) for (pk,) in execute_on_page("SELECT id FROM servers_allocation")} == free | own
        assert not Plan.objects.get().__dict__.keys() & {"cost_minor", "cost_currency"}
        with pytest.raises(DatabaseError, match="permission denied"):
            execute_on_page("SELECT cost_minor FROM catalog_plan")


def bare_connection() -> "psycopg.Connection[Any]":
    """The customers' login without anything of the shop's."""
    return psycopg.connect(database_url(logins.CUSTOMER_LOGIN), autocommit=True)


def fetched(bare: Any, statement: str) -> Any:
    """The rows, those that COPY sends included."""
    if statement.startswith("COPY") and "STDOUT" in statement:
        with bare.cursor() as cursor, cursor.copy(statement) as copy:
            return [bytes(chunk) for chunk in copy]
    cursor = bare.execute(statement)
    return cursor.fetchall() if cursor.description else None


def test_a_statement_that_only_the_cursor_refuses_never_reaches_the_database(tenants: tuple[Tenant, Tenant]) -> None:
    attacker, _victim = tenants
    for statement in REFUSED_BY_THE_CURSOR:
        with (
            pytest.raises((DatabaseError, psycopg.Error), match=r"only reads|multiple commands"),
            as_attacker(attacker),
        ):
            execute_on_page(statement)


def test_what_one_request_left_in_its_session_is_gone_in_the_next(tenants: tuple[Tenant, Tenant], pooled: None) -> None:
    attacker, _victim = tenants
    with as_attacker(attacker):
        first = execute_on_page("SELECT pg_backend_pid()")
        for name, value in (("search_path", "pg_temp"), ("TimeZone", "Asia/Tokyo"), ("statement_timeout", "0")):
            execute_on_page(f"SELECT set_config('{name}', '{value}', false)")
        execute_on_page("SELECT set_config('app.binding', current_setting('app.binding'), false)")
    connections["customer"].close()

    with as_attacker(attacker):
        assert execute_on_page("SELECT pg_backend_pid()") == first
        assert execute_on_page(
            "SELECT current_setting('search_path'), current_setting('TimeZone'), current_setting('statement_timeout')"
        ) == [("public", "UTC", "15s")]
    connections["customer"].close()
    with tenancy.as_role(role=tenancy.CUSTOMER):
        assert not User.objects.exists()


def test_no_hidden_column_is_granted_and_the_orm_leaves_it_out(tenants: tuple[Tenant, Tenant]) -> None:
    attacker, _victim = tenants
    declared = {model: tenancy_of(model) for model in schema.own_models()}
    readable = [model for model, tenancy in declared.items() if tenancy is not None and tenancy.is_readable]
    assert {column for model in readable for column in hidden_columns(model)}
    for model in readable:
        with as_attacker(attacker):
            rows = list(model._base_manager.all()[:1])
        assert all(hidden_columns(model) <= row.get_deferred_fields() for row in rows), model
        for column in hidden_columns(model):
            with as_attacker(attacker):
                revealed = run(execute_on_page, f'SELECT "{column}" FROM "{model._meta.db_table}"')
            assert "permission denied" in revealed, f"{model._meta.label}.{column}"


def test_passwords_tokens_and_secrets_are_hidden() -> None:
    named = {
        f"{model._meta.db_table}.{field.column}"
        for model in schema.own_models()
        if (declared := tenancy_of(model)) is not None and declared.is_readable
        for field in model._meta.local_concrete_fields
        if any(word in str(field.column) for word in ("password", "secret", "credential", "session_url", "_hash"))
        and field.column not in hidden_columns(model)
    }
    assert named == set()


def test_a_page_that_forgets_as_worker_cannot_use_the_workers_login(tenants: tuple[Tenant, Tenant]) -> None:
    attacker, _victim = tenants
    with (
        pytest.raises(DatabaseError, match="nothing uses the database login"),
        as_attacker(attacker),
        connection.cursor() as cursor,
    ):
        cursor.execute(OTHERS)
